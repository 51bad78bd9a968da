"""The garbage collector, set for a process that makes many rows and few circles.

Profiled: a fifth of the sink's processor time went into walking rows and cached runs that no circle holds.
"""

from __future__ import annotations

import gc

THRESHOLDS = (100_000, 20, 50)
"""Containers made before the youngest are walked (default 700), and how often the older ones are: what circles hold
meanwhile is some 10 MB."""


def collect_rarely() -> None:
    """Leave what is there for good out of every walk, and walk rarely. To be called once a process has started."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
