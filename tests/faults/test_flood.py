"""A flood is refused in time: memory stays within its limit, and what was accepted is stored once.

The short form; `python tests/faults/flood.py --seconds 60` is the long one.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from flood import MIB, Flood
from pipeline_process import PipelineProcess

SECONDS, LIMIT_MIB = 12, 1_536


@pytest.mark.crash
@pytest.mark.timeout(400)
def test_memory_stays_within_its_limit_and_all_that_was_accepted_is_stored_once(tmp_path: Path) -> None:
    pipeline = PipelineProcess(tmp_path / "data", f"service::memory_limit_mib={LIMIT_MIB}").start()
    try:
        flood = Flood(pipeline, SECONDS)
        flood.run()
        pipeline.settle(300)
        stored = pipeline.query("SELECT count(), uniqExact(TraceId, SpanId) FROM otel_traces").split("\t")
    finally:
        pipeline.kill_if_running()
    assert flood.peak_bytes < LIMIT_MIB * MIB, flood.at_peak
    assert flood.answers[200] > 0
    assert set(flood.answers) <= {200, 429, 503}
    assert flood.without_delay == 0
    assert stored == [str(flood.accepted_spans)] * 2
