"""Whether there is room for a request: bytes in flight and resident memory against a limit.

Above the soft limit requests are refused with a delay that grows with how far above it we are;
above the hard limit all of them are. After the Collector's memory limiter, but before anything is decoded.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SOFT_SHARE = 0.8
EXPANSION = 6
"""Bytes a request takes while it is parsed and stored, per byte of its body."""
SAMPLE_SECONDS = 0.25
LONGEST_RETRY_SECONDS = 30.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Overload(Exception):  # noqa: N818  # it is an answer
    """There is no room now; try again after `retry_seconds`."""

    def __init__(self, reason: str, retry_seconds: float) -> None:
        super().__init__(reason)
        self.retry_seconds = retry_seconds


def resident_bytes() -> int:
    """Read how much memory this process holds; 0 where the platform does not say."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


class Admission:
    """Admits requests within a memory limit in bytes. Owned by one event loop."""

    def __init__(
        self,
        limit_bytes: int,
        resident: Callable[[], int] = resident_bytes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit_bytes
        self._soft = int(limit_bytes * SOFT_SHARE)
        self._resident = resident
        self._clock = clock
        self._in_flight = 0
        self._held = 0
        self._sampled_at = float("-inf")

    @contextmanager
    def admit(self, body_bytes: int) -> Iterator[None]:
        """Hold room for a request while it is worked on; raises Overload."""
        takes = body_bytes * EXPANSION
        expected = self._memory() + self._in_flight + takes
        if expected > self._soft and (self._in_flight or self._memory() > self._soft):
            over = (expected - self._soft) / max(1, self._limit - self._soft)
            raise Overload(
                f"memory is short: {expected >> 20} MiB of {self._limit >> 20} MiB would be in use",
                min(LONGEST_RETRY_SECONDS, max(1.0, 5.0 * over)),
            )
        self._in_flight += takes
        try:
            yield
        finally:
            self._in_flight -= takes

    def _memory(self) -> int:
        now = self._clock()
        if now - self._sampled_at >= SAMPLE_SECONDS:
            self._held, self._sampled_at = self._resident(), now
        return self._held
