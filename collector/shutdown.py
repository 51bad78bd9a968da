"""One time budget for a whole shutdown, shared by everything that waits in it."""

from __future__ import annotations

import time


class Deadline:
    """Counts down; after quix-streams' checkpointing deadline."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left, never negative."""
        return max(0.0, self._ends - time.monotonic())
