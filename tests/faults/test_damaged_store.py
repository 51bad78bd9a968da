"""A part of a table that is damaged: ClickHouse sets it aside without a word, so we say how many, and whose."""

from __future__ import annotations

from pathlib import Path

import pytest
from pipeline_process import PipelineProcess
from recorded_requests import requests, span_count


@pytest.mark.timeout(180)
def test_rows_that_are_no_longer_shown_are_told_and_what_comes_then_is_stored(tmp_path: Path) -> None:
    pipeline = PipelineProcess(tmp_path / "data").start()
    before, after = requests(seed=1, count=4), requests(seed=2, count=3)
    try:
        for body in before:
            assert pipeline.post("/v1/traces", body)[0] == 200
        pipeline.settle()
        parts = pipeline.query("SELECT path FROM system.parts WHERE table = 'otel_traces' AND active").splitlines()
        assert pipeline.stop() == 0
        for part in parts:
            (Path(part) / "columns.txt").unlink()
        pipeline.start()
        assert f"{len(parts)} damaged part(s) of otel_traces were set aside" in pipeline.log()
        assert f'tracemend_store_broken_parts{{table="otel_traces"}} {len(parts)}.0' in metrics(pipeline)
        for body in after:
            assert pipeline.post("/v1/traces", body)[0] == 200
        pipeline.settle()
        assert int(pipeline.query("SELECT count() FROM otel_traces")) == span_count(after)
    finally:
        pipeline.kill_if_running()


def metrics(pipeline: PipelineProcess) -> str:
    return pipeline.get("metrics", "/metrics")[1].decode()
