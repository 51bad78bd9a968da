"""People and a running pipeline: their verdicts are stored and counted, their thresholds hold without a restart."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

from pipeline_process import TRACEMEND, PipelineProcess

from collector.cli.recorded_runs import recorded_runs

WAIT_SECONDS = 20.0
LOOPS = ("strands-loop", "pydantic-ai-loop")


def send(pipeline: PipelineProcess, name: str) -> None:
    run = next(run for run in recorded_runs(time.time_ns()) if run.name == name)
    for path, body in run.requests:
        assert pipeline.post(path, body)[0] == 200


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def shown(pipeline: PipelineProcess, *command: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(pipeline.run(*command, "--format", "json"))
    return found


def refused(pipeline: PipelineProcess, *command: str) -> str:
    asked = [*TRACEMEND, *command, "--data-dir", str(pipeline.data_dir)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    return done.stderr


def held_back(pipeline: PipelineProcess) -> float:
    """Sum what thresholds held back, over all processes."""
    lines = pipeline.get("metrics", "/metrics")[1].decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("tracemend_findings_held_back{"))


def test_a_verdict_is_stored_replaced_and_counted(pipeline: PipelineProcess) -> None:
    send(pipeline, LOOPS[0])
    pipeline.settle()
    found = pipeline.detections()[0]
    pipeline.run("feedback", found["id"][:8], "--wrong", "--note", "it polls")
    pipeline.run("feedback", found["id"], "--correct")
    until(lambda: any(row["correct"] for row in shown(pipeline, "feedback", "stats")))
    rows = shown(pipeline, "feedback", "stats")
    assert [(row["detector"], row["samples"], row["correct"]) for row in rows] == [("loop", 1, 1)] * 2
    assert rows[1]["tier"] == found["tier"]
    assert 0 < rows[0]["low"] < rows[0]["high"] == 1
    assert {row["advice"] for row in shown(pipeline, "feedback", "recommend")} == {"not enough samples"}
    assert found["id"] in refused(pipeline, "feedback", "ffff" + found["id"][4:-4] + "0000", "--wrong")
    assert "one of --correct and --wrong" in refused(pipeline, "feedback", found["id"])


def test_a_threshold_holds_at_run_time_and_leaves_what_was_told(pipeline: PipelineProcess) -> None:
    send(pipeline, LOOPS[0])
    pipeline.settle()
    before = pipeline.detections()
    assert {found["type"] for found in before} == {"loop"}
    pipeline.run("thresholds", "set", "loop", "0.999")
    pipeline.settle()
    send(pipeline, LOOPS[1])
    pipeline.settle()
    assert {found["id"] for found in pipeline.detections()} == {found["id"] for found in before}
    assert held_back(pipeline) > 0
    assert [(row["detector"], row["min_confidence"]) for row in shown(pipeline, "thresholds")] == [("loop", 0.999)]
    pipeline.run("thresholds", "unset", "loop")
    until(lambda: not shown(pipeline, "thresholds", "list"))
