"""What a running pipeline shows and does beside storing: the stream, health, policies, approvals, Ctrl-C."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any

import pytest
from pipeline_process import PipelineProcess

from collector.cli.recorded_runs import RecordedRun, recorded_runs
from processors.readiness import readiness


def send(pipeline: PipelineProcess, name: str) -> RecordedRun:
    run = next(run for run in recorded_runs(time.time_ns()) if run.name == name)
    for path, body in run.requests:
        assert pipeline.post(path, body)[0] == 200
    return run


def events(pipeline: PipelineProcess, after: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Read the detections stream until it has been quiet for a moment: (event id, document)."""
    connection = http.client.HTTPConnection((pipeline.info() or {})["metrics"], timeout=10)
    connection.request("GET", "/v1/detections/stream", headers={"Last-Event-ID": after} if after else {})
    response = connection.getresponse()
    found, event_id, quiet = [], "", 0
    while quiet < 3:
        line = response.readline().decode().strip()
        quiet = quiet + 1 if line.startswith(":") else quiet
        if line.startswith("id: "):
            event_id = line[4:]
        elif line.startswith("data: "):
            found.append((event_id, json.loads(line[6:])))
    connection.close()
    return found


def test_the_stream_resumes_after_the_last_event_a_client_saw(pipeline: PipelineProcess) -> None:
    send(pipeline, "strands-loop")
    pipeline.settle()
    send(pipeline, "pydantic-ai-loop")
    pipeline.settle()
    everything = events(pipeline, after="0:-1")
    assert [document["type"] for _, document in everything] == ["loop"] * len(everything)
    assert events(pipeline, after=everything[0][0]) == everything[1:]


def test_a_safe_fix_is_in_force_for_the_agent_it_is_about(pipeline: PipelineProcess) -> None:
    send(pipeline, "strands-loop")
    pipeline.settle()
    status, body = pipeline.get("metrics", "/v1/policies/strands-app/weather_agent")
    rules = json.loads(body)["rules"]
    assert status == 200
    assert [(rule["fix_type"], rule["parameters"]["tool"]) for rule in rules] == [("circuit_breaker", "get_weather")]
    shown = json.loads(pipeline.run("policies", "show", "--format", "json"))
    assert [rule["id"] for policy in shown for rule in policy["rules"]] == [rules[0]["id"]]


def test_a_riskier_fix_waits_for_a_person_and_applies_once_approved(pipeline: PipelineProcess) -> None:
    send(pipeline, "pydantic-ai-toolerr")
    pipeline.settle()
    waiting = json.loads(pipeline.run("approvals", "list", "--format", "json"))
    (asked,) = [event for event in waiting if event["kind"] == "approval"]
    assert asked["fix_type"] == "exponential_backoff"
    assert asked["hand_off"]["deadline"]
    pipeline.run("approvals", "approve", asked["healing_id"][:10], "--note", "fine by me")
    pipeline.settle()
    applied = pipeline.query("SELECT FixType, Reason FROM healing FINAL WHERE Event = 'applied'")
    assert applied.startswith("exponential_backoff")
    assert json.loads(pipeline.run("approvals", "list", "--format", "json")) == [
        event for event in waiting if event["kind"] != "approval"
    ]


def test_health_names_every_stage_and_metrics_are_the_collectors(pipeline: PipelineProcess) -> None:
    send(pipeline, "maf-ok")
    pipeline.settle()
    status, body = pipeline.get("metrics", "/healthz")
    assert status == 200
    told = json.loads(body)
    assert {part["status"] for part in told["components"].values()} == {"running"}
    assert told["detectors"]["tool_error"] == readiness("tool_error")
    assert {"loop", "repetition"} <= told["detectors"].keys()
    _, metrics = pipeline.get("metrics", "/metrics")
    assert b'otelcol_receiver_accepted_spans{receiver="otlp",transport="http"} 4.0' in metrics


def test_runs_are_listed_with_what_they_used_and_what_was_found(pipeline: PipelineProcess) -> None:
    send(pipeline, "strands-loop")
    pipeline.settle()
    (run,) = json.loads(pipeline.run("runs", "--format", "json"))
    assert (run["LlmCalls"], run["ToolCalls"], run["InputTokens"]) == (7, 6, 910)
    assert run["Detections"] == ["loop"]


def test_ctrl_c_drains_what_was_accepted_and_exits_in_time(pipeline: PipelineProcess) -> None:
    send(pipeline, "strands-loop")
    begun = time.monotonic()
    assert pipeline.stop() == 0
    assert time.monotonic() - begun < 10
    assert len(pipeline.detections("--type", "loop")) == 1


def test_a_second_pipeline_on_the_same_data_dir_is_refused(pipeline: PipelineProcess) -> None:
    with pytest.raises(RuntimeError, match=r"exited with 2: (.|\n)*another tracemend runs on"):
        PipelineProcess(pipeline.data_dir).start()
