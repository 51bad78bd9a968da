"""The limit is divided once: shares add up to what it leaves, over all processes, and caches stop growing somewhere."""

from __future__ import annotations

import pytest

from collector.memory_shares import (
    BATCH_EXPANSION,
    BATCHES_AT_A_TIME,
    LARGEST_BATCH_BYTES,
    MOST_RUNS_BYTES,
    MOST_TRACES_BYTES,
    SOFT_SHARE,
    shares,
)
from config.settings import MIB


@pytest.mark.parametrize("limit_mib", [1_400, 2_000, 4_000, 16_000])
@pytest.mark.parametrize("processes", [1, 2, 3, 4])
def test_shares_and_the_programs_themselves_stay_within_the_soft_limit(limit_mib: int, processes: int) -> None:
    found = shares(limit_mib * MIB, processes)
    batches = found.batch * BATCHES_AT_A_TIME * BATCH_EXPANSION
    held = found.programs + found.doors + batches + found.traces + found.runs + found.judge + found.store
    assert held <= limit_mib * MIB * SOFT_SHARE


def test_every_share_grows_with_the_limit_until_caches_are_large_enough() -> None:
    small, large, huge = (shares(limit << 30, 3) for limit in (2, 4, 64))
    assert all(few < more for few, more in zip(small[1:], large[1:], strict=True))
    assert (huge.traces, huge.runs, huge.batch) == (MOST_TRACES_BYTES, MOST_RUNS_BYTES, LARGEST_BATCH_BYTES)


def test_a_store_elsewhere_leaves_more_for_all_others() -> None:
    here, elsewhere = shares(1_400 * MIB, 3), shares(1_400 * MIB, 3, embedded_store=False)
    assert elsewhere.doors > here.doors
    assert elsewhere.traces > here.traces


def test_a_limit_too_small_for_the_programs_leaves_the_doors_nothing() -> None:
    assert shares(256 * MIB, 3).doors == 0


def test_one_trace_does_not_take_what_all_of_them_have() -> None:
    found = shares(1_400 * MIB, 3)
    assert 0 < found.trace < found.traces
