"""Which processes `tracemend up` is made of, beside its first one, which keeps the doors and looks after the rest.

Measured on two quiet cores (`python -m tests.benchmarks process`): four processes took 13,000 spans a second where
three, with normaliser and detectors in one, took 9,400 and 9 % more processor time a span. Python runs one thread of a
process at a time, so the longest stages are apart; receiving costs a fifth of either at most, and stays with the
supervisor.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from collector.roles import HEALING, NORMALISER, POLICIES, PROCESSORS, RECEIVERS, SINKS

AUTO = "auto"
SUPERVISOR = (RECEIVERS, POLICIES)
"""What the first process runs itself where there are others."""

Part = tuple[str, ...]
"""The roles of one process."""

PLANS: dict[int, tuple[Part, ...]] = {
    1: (),
    2: ((NORMALISER, PROCESSORS, HEALING, SINKS),),
    3: ((NORMALISER, PROCESSORS, HEALING), (SINKS,)),
    4: ((NORMALISER,), (PROCESSORS, HEALING), (SINKS,)),
}
"""The processes beside the first one, by how many there are in all, in the order of a span's way."""


def parts(processes: str | int | Sequence[str], cores: int = 0) -> tuple[Part, ...]:
    """List the processes beside the first one: none for a single process."""
    if processes == AUTO:
        return PLANS[_sensible(cores or _cores())]
    if isinstance(processes, int):
        return PLANS[processes]
    return tuple(tuple(part.split("+")) for part in processes)


def name_of(part: Part) -> str:
    """Call a process by what it runs."""
    return "+".join(part)


def _sensible(cores: int) -> int:
    if cores < 2 or sys.platform != "linux":
        return 1
    return 4


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
