"""Divides the memory a pipeline may hold among those who hold it, over all of its processes.

The one place that does: a share belongs to one holder, a holder lives in one process, so the shares add up to what the
limit leaves once the programs themselves are in memory. Holders keep to theirs in bytes as they estimate them; what
they really hold shows in the resident memory, by which the doors go (`admission.py`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from config.settings import MIB

SOFT_SHARE = 0.8
"""Of the limit: from here on the doors refuse, so that what was taken already has room to be worked on."""
FIRST_PROCESS_BYTES, PROCESS_BYTES, STORE_BYTES = 80 * MIB, 60 * MIB, 350 * MIB
"""What a process holds with nothing to do (measured), and what the embedded store's library adds to its own."""
DOORS, BATCHES, TRACES, RUNS, JUDGE, STORE = 0.12, 0.25, 0.12, 0.09, 0.02, 0.40
"""How what is left is divided."""
BATCHES_AT_A_TIME = 3
"""One each of the normaliser, the detectors and the sink."""
BATCH_EXPANSION = 25
"""Bytes that are held while a batch is worked on, per byte of its records (measured in the sink, the largest)."""
SMALLEST_BATCH_BYTES, LARGEST_BATCH_BYTES = MIB, 8 * MIB
LARGEST_WORK_BYTES = MIB
"""What the normaliser, the detectors and their like read at once, where a batch may be larger: that is some 100 ms of
work, beside which a commit costs little. After a stall batches of 8 MiB made it seconds, in each stage again.
"""
SMALLEST_CACHE_BYTES = 16 * MIB
SMALLEST_RECORD_BYTES, LARGEST_RECORD_BYTES = 4 * MIB, 64 * MIB
SMALLEST_QUEUE_BYTES = 64 * MIB
"""What may wait for the bus's writer, whatever the limit: one request."""
MOST_TRACES_BYTES, MOST_RUNS_BYTES, MOST_JUDGE_BYTES = 512 * MIB, 256 * MIB, 64 * MIB
"""Caches are no larger than this where there is more: what they let go of is read again."""
SMALLEST_STORE_BYTES = 160 * MIB
"""With less the embedded store cannot merge what it was given."""
TRACE_PART, LARGEST_TRACE_BYTES = 2, 128 * MIB
"""A single trace has no more than this part of what all of them have."""


class MemoryShares(NamedTuple):
    """Bytes by holder.

    `programs`: what the processes take before anything comes. `doors`: requests being read and made durable, also while
    they wait for the bus's writer. `record`: a single span, since every stage has to hold it at once. `batch`: the
    records one stage works on at once. `traces`: what the normaliser keeps
    of traces, of which `trace` for one. `runs`: what the detectors keep of runs. `judge`: steps of runs that it may be
    asked about. `store`: what the embedded store allocates, merges included.
    """

    programs: int
    doors: int
    record: int
    batch: int
    traces: int
    trace: int
    runs: int
    judge: int
    store: int


def needed_mib(processes: int = 1, embedded_store: bool = True) -> int:
    """Give the lowest limit with which a pipeline of so many processes can work on a record at all, in MiB."""
    return math.ceil(
        (_programs(processes, embedded_store) + SMALLEST_RECORD_BYTES * BATCH_EXPANSION) / SOFT_SHARE / MIB
    )


def shares(limit_bytes: int, processes: int = 1, embedded_store: bool = True) -> MemoryShares:
    """Divide a limit among the holders of a pipeline of so many processes."""
    programs = _programs(processes, embedded_store)
    left = max(0, int(limit_bytes * SOFT_SHARE) - programs)
    traces = _within(SMALLEST_CACHE_BYTES, int(left * TRACES), MOST_TRACES_BYTES)
    return MemoryShares(
        programs=programs,
        doors=int(left * DOORS),
        record=_within(SMALLEST_RECORD_BYTES, left // BATCH_EXPANSION, LARGEST_RECORD_BYTES),
        batch=_within(
            SMALLEST_BATCH_BYTES, int(left * BATCHES) // (BATCHES_AT_A_TIME * BATCH_EXPANSION), LARGEST_BATCH_BYTES
        ),
        traces=traces,
        trace=min(traces // TRACE_PART, LARGEST_TRACE_BYTES),
        runs=_within(SMALLEST_CACHE_BYTES, int(left * RUNS), MOST_RUNS_BYTES),
        judge=_within(MIB, int(left * JUDGE), MOST_JUDGE_BYTES),
        store=max(SMALLEST_STORE_BYTES, int(left * STORE)),
    )


def _programs(processes: int, embedded_store: bool) -> int:
    return FIRST_PROCESS_BYTES + (processes - 1) * PROCESS_BYTES + (STORE_BYTES if embedded_store else 0)


def _within(least: int, wanted: int, most: int) -> int:
    return max(least, min(wanted, most))
