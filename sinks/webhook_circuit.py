"""A circuit: while the receiver of a webhook is down it is left alone for growing pauses, then tried with one call."""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST_PAUSE_SECONDS = 1.0


class ReceiverCircuit:
    """Shared by all that tell the same receiver; owned by one thread. `clock` gives seconds that only grow."""

    def __init__(self, longest_seconds: float = 300.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.reason = ""
        """What went wrong last; empty while nothing has since it went well."""
        self._longest = longest_seconds
        self._clock = clock
        self._pause = 0.0
        self._until = 0.0

    @property
    def is_open(self) -> bool:
        """Say whether the last call failed: the next one is a trial."""
        return self._pause > 0

    def wait_seconds(self) -> float:
        """Say how long no call may be made; 0 where one may be now."""
        return max(0.0, self._until - self._clock())

    def succeeded(self) -> None:
        """Close it."""
        self.reason, self._pause, self._until = "", 0.0, 0.0

    def failed(self, reason: str, retry_after_seconds: float = 0.0) -> None:
        """Open it for twice as long as before, or as long as the other side asks; never longer than the longest."""
        self.reason = reason
        self._pause = min(self._longest, max(FIRST_PAUSE_SECONDS, self._pause * 2))
        self._until = self._clock() + min(self._longest, max(self._pause, retry_after_seconds))
