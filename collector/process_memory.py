"""The memory of a process: the garbage collector set for many rows and few circles, the allocator for few arenas.

Profiled: a fifth of the sink's processor time went into walking rows and cached runs that no circle holds.
"""

from __future__ import annotations

import ctypes
import gc
import os

THRESHOLDS = (100_000, 20, 50)
"""Containers made before the youngest are walked (default 700), and how often the older ones are: what circles hold
meanwhile is some 10 MB."""

M_ARENA_MAX, ARENAS = -8, 2
"""glibc gives each thread an arena of its own, up to eight a core, and what is free in one is of no use to others."""


def use_few_arenas() -> None:
    """Let threads share arenas, where the C library has them; to be called before there are threads.

    Together with smaller deliveries it took a flood's peak from 1,476 to 1,316 MiB (tests/faults/flood.py).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(M_ARENA_MAX, ARENAS)


def collect_rarely() -> None:
    """Leave what is there for good out of every walk, and walk rarely. To be called once a process has started."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
