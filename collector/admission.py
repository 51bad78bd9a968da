"""Whether there is room for a request: in memory, and behind what is still to be read of the bus.

Memory: bytes in flight and resident memory against a limit. Above the soft limit requests are refused with a delay that
grows with how far above it we are, and with the backlog; above the hard limit all of them are, before they are read.
After the Collector's memory limiter, but before anything is decoded. A request counts with all it will take, unpacked
and parsed; what it only announces is looked at and not held, or whoever announces much and sends nothing would fill it.
Backlog: while much is unread, or memory is getting short, a tenant who brought more than an equal part waits first.
"""

from __future__ import annotations

import ctypes
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from collector.bus.drain_rate import FIRST_BYTES_A_SECOND
from collector.fair_share import FairShares
from collector.memory_shares import SOFT_SHARE
from schemas.keys import DEFAULT_TENANT

EXPANSION, JSON_EXPANSION = 6, 16
"""Bytes a request takes while it is parsed and stored, per byte of its body; and while JSON becomes protobuf."""
SAMPLE_SECONDS = 0.25
LONGEST_RETRY_SECONDS = 30.0
CONTENDED_SECONDS = 4.0
"""How long what is unread takes to be read from which on tenants are held to their shares."""
CONTENDED_SHARE = 0.75
"""Share of the soft limit from which on they are, too."""
JITTER = 0.25
"""By how much of itself a delay is longer, at random, so that those who were refused do not come back together."""
MEMORY, SHARE, NEVER = "memory", "share", "never"
"""Why there is no room; NEVER where there cannot be any within the limit, however long one waits."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Overload(Exception):  # noqa: N818  # it is an answer
    """There is no room, for want of `kind`; try again after `retry_seconds`, unless that is 0."""

    def __init__(self, reason: str, retry_seconds: float, kind: str = MEMORY) -> None:
        super().__init__(reason)
        self.retry_seconds = retry_seconds
        self.kind = kind


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

    def cover(self, whole: int) -> None:
        """Take so much that the whole is held; raises Overload as `grow` does."""
        if whole > self.bytes:
            self.grow(whole - self.bytes)

    def hand_over(self, other: Hold) -> None:
        """Let another one hold what this one does."""
        other.bytes, self.bytes = other.bytes + self.bytes, 0


class Admission:
    """Admits requests within a memory limit in bytes. Owned by one event loop.

    `unread` measures the backlog in bytes, `drained` how many of them are read in a second; `tenants` is how many are
    known to share; `programs` are the bytes that are taken before any request comes.
    """

    def __init__(
        self,
        limit_bytes: int,
        resident: Callable[[], int] = resident_bytes,
        clock: Callable[[], float] = time.monotonic,
        release: Callable[[], None] = release_free_memory,
        unread: Callable[[], int] = lambda: 0,
        tenants: int = 1,
        drained: Callable[[], float] = lambda: FIRST_BYTES_A_SECOND,
        programs: int = 0,
    ) -> None:
        self._limit = limit_bytes
        self._soft = int(limit_bytes * SOFT_SHARE)
        self._resident = resident
        self._clock = clock
        self._release = release
        self._in_flight = 0
        self._held = 0
        self._sampled_at = float("-inf")
        self._measure_unread = unread
        self._measure_drained = drained
        self._programs = programs
        self._unread = 0
        self._alone = tenants <= 1
        self._shares = FairShares()

    @contextmanager
    def hold(self) -> Iterator[Hold]:
        """Begin a request that takes nothing yet."""
        held = Hold(self)
        try:
            yield held
        finally:
            self._in_flight -= held.bytes

    @contextmanager
    def admit(self, body_bytes: int, tenant: str = DEFAULT_TENANT, read: Hold | None = None) -> Iterator[None]:
        """Hold room for a request while it is worked on, with what was held while it was read; raises Overload."""
        self._keep_to_share(tenant)
        with self.hold() as held:
            if read is not None:
                read.hand_over(held)
            held.cover(body_bytes * EXPANSION)
            self._shares.brings(tenant, body_bytes, self._clock())
            yield

    def look(self, tenant: str = DEFAULT_TENANT, announced: int = 0) -> None:
        """Say before a request is read whether it can be taken, with the bytes it announces; raises Overload."""
        resident = self._memory()
        if resident > self._soft:
            raise self._short(resident)
        if announced:
            self._check(resident, announced * EXPANSION, 0)
        self._keep_to_share(tenant)

    def largest_body(self) -> int:
        """Say how many bytes a request may have to fit into the memory at all."""
        return max(0, self._limit - self._programs) // EXPANSION

    def _keep_to_share(self, tenant: str) -> None:
        """Let a tenant wait that had more than its part, while others may be kept waiting by it."""
        resident = self._memory()
        contended = self._unread > CONTENDED_SECONDS * self._measure_drained()
        if not contended and resident + self._in_flight <= CONTENDED_SHARE * self._soft:
            return
        if self._shares.is_over(tenant, self._clock(), self._alone):
            reason = f"{self._unread >> 20} MiB are still to be read, and this tenant has had its share of the room"
            raise Overload(reason, self._delay(1.0), SHARE)

    def _short(self, expected: int) -> Overload:
        over = (expected - self._soft) / max(1, self._limit - self._soft)
        reason = f"memory is short: {expected >> 20} MiB of {self._limit >> 20} MiB would be in use"
        return Overload(reason, self._delay(max(1.0, 5.0 * over)))

    def _delay(self, seconds: float) -> float:
        """Lengthen a delay by what the backlog takes to be read, and by chance."""
        whole = seconds + self._unread / self._measure_drained()
        return min(LONGEST_RETRY_SECONDS, whole * (1 + JITTER * random.random()))  # noqa: S311  # no secret

    def take(self, more: int, own: int) -> None:
        """Count bytes as in flight; raises Overload. `own` is what the request holds already."""
        self._check(self._memory(), more, own)
        self._in_flight += more

    def _check(self, resident: int, more: int, own: int) -> None:
        """Raise Overload where there is no room for more.

        A request that is alone goes past the soft limit on its estimate, or it could never succeed, but not past the
        hard one.
        """
        if own + more > self._limit - self._programs:
            raise self._never(own + more)
        expected = resident + self._in_flight + more
        alone = self._in_flight <= own and resident <= self._soft
        if expected > (self._limit if alone else self._soft):
            raise self._short(expected)

    def _never(self, needed: int) -> Overload:
        room = max(0, self._limit - self._programs) >> 20
        reason = f"it takes about {needed >> 20} MiB to work on this request, and there are never more than {room} MiB"
        return Overload(f"{reason}: send less at once, or raise service::memory_limit_mib", 0.0, NEVER)

    def _memory(self) -> int:
        now = self._clock()
        if now - self._sampled_at >= SAMPLE_SECONDS:
            self._held, self._unread, self._sampled_at = self._resident(), self._measure_unread(), now
            if self._held > self._soft:
                self._release()
                self._held = self._resident()
        return self._held
