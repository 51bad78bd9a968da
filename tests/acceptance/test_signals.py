"""Being asked to stop: at once, twice, and before it has started."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from pipeline_process import PipelineProcess
from recorded_requests import requests, span_count

PATIENCE_SECONDS = 30


def ended(pipeline: PipelineProcess) -> int:
    assert pipeline.process is not None
    return pipeline.process.wait(PATIENCE_SECONDS)


def ask(pipeline: PipelineProcess, number: signal.Signals) -> None:
    assert pipeline.process is not None
    pipeline.process.send_signal(number)


def test_sigterm_drains_and_exits_with_0_and_what_was_accepted_is_there_afterwards(pipeline: PipelineProcess) -> None:
    bodies = requests(seed=5, count=6)
    for body in bodies:
        assert pipeline.post("/v1/traces", body)[0] == 200
    ask(pipeline, signal.SIGTERM)
    assert ended(pipeline) == 0
    assert pipeline.info() is None
    pipeline.start()
    pipeline.settle()
    rows, spans = pipeline.query("SELECT count(), uniqExact(TraceId, SpanId) FROM otel_traces").split("\t")
    assert int(rows) == int(spans) == span_count(bodies)


def test_being_asked_twice_is_being_asked(pipeline: PipelineProcess) -> None:
    ask(pipeline, signal.SIGTERM)
    ask(pipeline, signal.SIGINT)
    assert ended(pipeline) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after_seconds", [0.2, 0.7])
def test_asked_while_it_starts_it_ends_and_starts_again(
    tmp_path: Path, number: signal.Signals, after_seconds: float
) -> None:
    pipeline = PipelineProcess(tmp_path / "data")
    pipeline.spawn()
    time.sleep(after_seconds)
    ask(pipeline, number)
    try:
        status = ended(pipeline)
        assert status in (0, -number, 128 + number)  # the latter two before the command has begun
        assert status or "Traceback" not in pipeline.log()
        pipeline.start()
    finally:
        pipeline.kill_if_running()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("there", ["lock", "bus/bus.sqlite", "store/metadata"])
def test_asked_at_any_step_of_its_start_it_exits_with_0(tmp_path: Path, number: signal.Signals, there: str) -> None:
    pipeline = PipelineProcess(tmp_path / "data")
    pipeline.spawn()
    try:
        until = time.monotonic() + PATIENCE_SECONDS
        while not (pipeline.data_dir / there).exists():
            assert time.monotonic() < until
            time.sleep(0.005)
        ask(pipeline, number)
        assert ended(pipeline) == 0
        assert "Traceback" not in pipeline.log()
    finally:
        pipeline.kill_if_running()
