"""A flood is refused in time: memory stays within its limit, what was accepted is stored once, and others are served.

The short forms; `python tests/faults/flood.py --seconds 60` is the long one, with its variants.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flood import MIB, TENANTS, Flood, of_two_tenants, orders
from pipeline_process import PipelineProcess

SECONDS, LIMIT_MIB = 12, 1_536
BUS = f"bus::embedded::max_bytes={64 * MIB}"
"""What may be unread: so much is worked through in a test's time."""
LONGEST_WAIT_SECONDS = 40.0
"""What the longest delay there is, a little longer by chance, comes to, and the answer after it."""

pytestmark = [pytest.mark.crash, pytest.mark.timeout(400)]


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[PipelineProcess]:
    running = PipelineProcess(tmp_path / "data", f"service::memory_limit_mib={LIMIT_MIB}", BUS, TENANTS)
    try:
        yield running.start()
    finally:
        running.kill_if_running()


def test_memory_stays_within_its_limit_and_all_that_was_accepted_is_stored_once(tmp_path: Path) -> None:
    pipeline = PipelineProcess(tmp_path / "data", f"service::memory_limit_mib={LIMIT_MIB}", BUS).start()
    try:
        flood = Flood(pipeline, orders(pipeline, SECONDS))
        flood.run()
        stored = settled(pipeline, flood)
    finally:
        pipeline.kill_if_running()
    assert set(flood.answers) <= {"200", "429", "503", "broken"}
    assert stored == flood.accepted_spans > 0
    assert flood.offered_spans > flood.accepted_spans


def test_one_who_floods_does_not_starve_another_who_sends_a_little(pipeline: PipelineProcess) -> None:
    flood = Flood(pipeline, of_two_tenants(pipeline, SECONDS))
    flood.run()
    stored = settled(pipeline, flood)
    modest = flood.tallies[-1]
    assert flood.answers["503"] + flood.answers["429"] > 0
    assert stored == flood.accepted_spans > modest.accepted_spans > 0
    assert max(modest.waits) < LONGEST_WAIT_SECONDS


def settled(pipeline: PipelineProcess, flood: Flood) -> int:
    """Wait until all is read, and count the spans in the store, which are distinct; the memory was within its limit."""
    pipeline.settle(300)
    flood.stop_watching()
    stored = pipeline.query("SELECT count(), uniqExact(TraceId, SpanId) FROM otel_traces").split("\t")
    assert flood.peak_bytes < LIMIT_MIB * MIB, flood.at_peak
    assert flood.without_delay == 0
    assert stored[0] == stored[1]
    return int(stored[0])
