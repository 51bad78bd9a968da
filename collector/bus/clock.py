"""Bus time, in nanoseconds since the epoch.

It never goes back, whatever somebody does to the wall clock, and it never stands still either: runs end by it.
Where it is ahead of the wall clock (that was set back) it goes at half speed until the wall clock has caught up,
so that a clock which was wrong for an hour is forgotten two hours later. Slewing instead of stepping: as adjtime(3).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class BusClock:
    """Bus time over a wall clock that may be set and a monotonic one that may not. Safe to ask from any thread."""

    def __init__(
        self,
        at_least_ns: int,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall_ns, self._monotonic_ns = wall_ns, monotonic_ns
        self._guard = threading.Lock()
        self._now_ns = max(wall_ns(), at_least_ns)
        self._looked_ns = monotonic_ns()

    def now_ns(self) -> int:
        """Say what time it is; never earlier than before."""
        with self._guard:
            wall, looked = self._wall_ns(), self._monotonic_ns()
            passed, self._looked_ns = looked - self._looked_ns, looked
            self._now_ns = max(wall, self._now_ns + passed // 2)
            return self._now_ns

    def ahead_seconds(self) -> float:
        """Say how far bus time is ahead of the wall clock: above 0 only where that was set back."""
        return max(0.0, (self.now_ns() - self._wall_ns()) / 1e9)
