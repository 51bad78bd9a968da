"""Diagnoses of a real pipeline: a run that failed, before and after its end, in the store and on the command line."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pipeline_process import PipelineProcess

from collector.cli.recorded_runs import RecordedRun, recorded_runs

IDLE_SECONDS, WAIT_SECONDS = 4, 60


@pytest.fixture(params=[1, 3], ids=["one-process", "several-processes"])
def pipeline(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[PipelineProcess]:
    settings = (f"service::processes={request.param}", f"service::run_idle_seconds={IDLE_SECONDS}")
    running = PipelineProcess(tmp_path / "data", *settings)
    try:
        yield running.start()
    finally:
        running.kill_if_running()


def send(pipeline: PipelineProcess, *names: str) -> list[RecordedRun]:
    runs = [run for run in recorded_runs(time.time_ns()) if run.name in names]
    for run in runs:
        for path, body in run.requests:
            assert pipeline.post(path, body)[0] == 200
    return runs


def until_told(pipeline: PipelineProcess, runs: int) -> None:
    until(pipeline, "SELECT uniqExact(Tenant, RunId) FROM run_summaries", runs)


def until(pipeline: PipelineProcess, counting: str, least: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while int(pipeline.query(counting)) < least:
        assert time.monotonic() < deadline, pipeline.log()
        time.sleep(0.2)


def diagnosed(pipeline: PipelineProcess, trace: str) -> dict[str, Any]:
    return dict(json.loads(pipeline.run("diagnose", trace, "--format", "json"))[0])


def test_a_run_is_diagnosed_while_it_goes_on_and_the_same_once_it_has_ended(pipeline: PipelineProcess) -> None:
    failing, healthy = send(pipeline, "langgraph-openinference-toolerr", "maf-ok")
    if failing.name == "maf-ok":
        failing, healthy = healthy, failing
    pipeline.settle()
    (trace,) = failing.trace_ids
    early = diagnosed(pipeline, trace[:12])
    assert (early["outcome"], early["version"]) == ("running", 0)
    until_told(pipeline, 2)
    late = diagnosed(pipeline, trace)
    assert (late["outcome"], late["blames"], late["title"]) == (
        "failed",
        True,
        "web_search failed once for tools: network",
    )
    assert (late["agent"], late["span_ids"]) == (early["agent"], early["span_ids"])
    assert [found["type"] for found in late["detections"]] == ["tool_error"]
    assert not diagnosed(pipeline, next(iter(healthy.trace_ids)))["blames"]
    until(pipeline, "SELECT count() FROM detections WHERE Type = 'completion'", 1)
    told = [json.loads(line) for line in pipeline.run("detections", "--format", "jsonl", "--trace", trace).splitlines()]
    (fell_short,) = [one for one in told if one["type"] == "completion"]
    assert (fell_short["agent"], fell_short["span_ids"]) == (late["agent"], late["span_ids"])
    row = pipeline.query("SELECT RunId, FaultStep FROM runs WHERE Outcome = 'failed' AND Blames")
    assert row.split("\t") == [trace, "web_search"]


def test_people_read_it_with_the_step_at_fault_marked_and_programs_read_all_runs(pipeline: PipelineProcess) -> None:
    (run,) = send(pipeline, "langgraph-openinference-toolerr")
    until_told(pipeline, 1)
    text = pipeline.run("diagnose", next(iter(run.trace_ids)))
    assert text.splitlines()[0].startswith("failed  run ")
    (fault,) = [line for line in text.splitlines() if line.startswith("▶")]
    assert "tool web_search" in fault
    assert "[1] search backend unreachable" in fault
    (line,) = pipeline.run("diagnose", "--format", "jsonl").splitlines()
    assert json.loads(line)["trace_id"] in run.trace_ids


def test_a_kill_loses_no_run_and_tells_none_twice(pipeline: PipelineProcess) -> None:
    names = ("langgraph-openinference-toolerr", "strands-loop", "maf-ok")
    runs = send(pipeline, *names)
    pipeline.settle()
    pipeline.kill()
    pipeline.start()
    until_told(pipeline, len(runs))
    assert pipeline.query("SELECT count(), uniqExact(RunId) FROM run_summaries FINAL").split("\t") == ["3", "3"]


def test_an_id_that_nobody_has_and_one_that_several_have_are_said_to_be_wrong(pipeline: PipelineProcess) -> None:
    with pytest.raises(RuntimeError, match="there is no run whose id"):
        pipeline.run("diagnose", "zz")
    with pytest.raises(RuntimeError, match="name a trace"):
        pipeline.run("diagnose")
