"""Bus time, in nanoseconds since the epoch."""

from __future__ import annotations

import time


class BusClock:
    """Bus time: the wall clock where it moves forward, the monotonic clock where somebody set the wall clock back."""

    def __init__(self, at_least_ns: int) -> None:
        self._anchor_ns = max(time.time_ns(), at_least_ns)
        self._anchor_monotonic = time.monotonic_ns()

    def now_ns(self) -> int:
        """Say what time it is; never earlier than before."""
        passed = self._anchor_ns + time.monotonic_ns() - self._anchor_monotonic
        return max(passed, time.time_ns())
