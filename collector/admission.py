"""Whether there is room for a request: bytes in flight and resident memory against a limit.

Above the soft limit requests are refused with a delay that grows with how far above it we are;
above the hard limit all of them are. After the Collector's memory limiter, but before anything is decoded.
"""

from __future__ import annotations

import ctypes
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


def resident_bytes(pid: int = 0) -> int:
    """Read how much memory a process holds, 0 for this one; 0 where the platform does not say."""
    try:
        return int(Path(f"/proc/{pid or 'self'}/statm").read_bytes().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


def release_free_memory() -> None:
    """Give back to the system what the allocator keeps for later, where it can; else a peak would count for ever."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


class Hold:
    """What one request takes of the memory; it grows while the request is read."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.bytes = 0

    def grow(self, by: int) -> None:
        """Take more; raises Overload, and then what was held stays held until the hold ends."""
        self._admission.take(by, self.bytes)
        self.bytes += by


class Admission:
    """Admits requests within a memory limit in bytes. Owned by one event loop."""

    def __init__(
        self,
        limit_bytes: int,
        resident: Callable[[], int] = resident_bytes,
        clock: Callable[[], float] = time.monotonic,
        release: Callable[[], None] = release_free_memory,
    ) -> None:
        self._limit = limit_bytes
        self._soft = int(limit_bytes * SOFT_SHARE)
        self._resident = resident
        self._clock = clock
        self._release = release
        self._in_flight = 0
        self._held = 0
        self._sampled_at = float("-inf")

    @contextmanager
    def hold(self) -> Iterator[Hold]:
        """Begin a request that takes nothing yet."""
        held = Hold(self)
        try:
            yield held
        finally:
            self._in_flight -= held.bytes

    @contextmanager
    def admit(self, body_bytes: int) -> Iterator[None]:
        """Hold room for a whole request while it is worked on; raises Overload."""
        with self.hold() as held:
            held.grow(body_bytes * EXPANSION)
            yield

    def take(self, more: int, own: int) -> None:
        """Count bytes as in flight; raises Overload.

        A request that is alone goes past the soft limit on its estimate, or it could never succeed; `own` is what it
        holds already.
        """
        resident = self._memory()
        expected = resident + self._in_flight + more
        if expected > self._soft and (self._in_flight > own or resident > self._soft):
            over = (expected - self._soft) / max(1, self._limit - self._soft)
            raise Overload(
                f"memory is short: {expected >> 20} MiB of {self._limit >> 20} MiB would be in use",
                min(LONGEST_RETRY_SECONDS, max(1.0, 5.0 * over)),
            )
        self._in_flight += more

    def _memory(self) -> int:
        now = self._clock()
        if now - self._sampled_at >= SAMPLE_SECONDS:
            self._held, self._sampled_at = self._resident(), now
            if self._held > self._soft:
                self._release()
                self._held = self._resident()
        return self._held
