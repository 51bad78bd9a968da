"""The memory of a process: the garbage collector set for many rows and few circles, the allocator for few arenas.

What a peak left behind is given back to the system: the allocator would keep it for the next one.

Profiled: a fifth of the sink's processor time went into walking rows and cached runs that no circle holds.
"""

from __future__ import annotations

import ctypes
import gc
import os
import threading
import time

THRESHOLDS = (100_000, 20, 50)
"""Containers made before the youngest are walked (default 700), and how often the older ones are: what circles hold
meanwhile is some 10 MB."""

M_ARENA_MAX, ARENAS = -8, 2
"""glibc gives each thread an arena of its own, up to eight a core, and what is free in one is of no use to others."""

M_MMAP_THRESHOLD, LARGE_BYTES = -3, 4 << 20
M_TRIM_THRESHOLD, KEPT_AT_HAND_BYTES = -1, 64 << 20
"""Smaller blocks than the first are taken from what is free, and so much of that stays. With glibc's own (128 KiB, 128
KiB) each request of 500 kB is new memory several times over, and every page of it a fault: a sixth of a receiver's
processor time before Kafka. What stays free for long is given back below."""


LOOK_SECONDS = 5.0
KEPT_FREE_BYTES = 48 << 20
"""What may stay free in the allocator: to take it from the system again costs more than it is worth."""


MALLINFO = (
    *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
    *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
)


class _MallInfo(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    _fields_ = [(name, ctypes.c_size_t) for name in MALLINFO]


def set_allocator() -> None:
    """Let threads share arenas and use freed memory again, where the C library is glibc; call it before any thread.

    Few arenas and smaller deliveries took a flood's peak from 1,476 to 1,316 MiB (tests/faults/flood.py).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(M_ARENA_MAX, ARENAS)
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_AT_HAND_BYTES)


def collect_rarely() -> None:
    """Leave what is there for good out of every walk, and walk rarely. To be called once a process has started."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


def give_back_what_is_free() -> None:
    """Look from now on, in a thread, whether much is free in the allocator, and give it back; not where glibc is not.

    Measured after a flood over gRPC: the doors' process held 441 MiB with nothing to do.
    """
    libc = ctypes.CDLL(None) if os.name == "posix" else None
    if libc is not None and hasattr(libc, "mallinfo2") and hasattr(libc, "malloc_trim"):
        libc.mallinfo2.restype = _MallInfo
        threading.Thread(target=_give_back, args=(libc,), name="memory", daemon=True).start()


def _give_back(libc: ctypes.CDLL) -> None:
    while True:
        time.sleep(LOOK_SECONDS)
        if libc.mallinfo2().fordblks > KEPT_FREE_BYTES:
            libc.malloc_trim(0)
