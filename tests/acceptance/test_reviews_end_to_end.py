"""A grey finding of a real run becomes a review, a person's answer a verdict, and the verdict a figure."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from pipeline_process import PipelineProcess

WAIT_SECONDS = 30.0
CALL_NS = 1_000_000


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[PipelineProcess]:
    running = PipelineProcess(tmp_path / "data", "service::processes=1", "service::run_idle_seconds=1")
    try:
        yield running.start()
    finally:
        running.kill_if_running()


def calls_without_content(calls: int) -> bytes:
    """Write a run whose agent calls one tool again and again, by name alone: nobody can be sure of a loop."""
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    trace_id, root, begins_ns = os.urandom(16), os.urandom(8), time.time_ns()
    for number in range(calls):
        at_ns = begins_ns + number * CALL_NS
        call = spans.add(trace_id=trace_id, span_id=os.urandom(8), parent_span_id=root, name="execute_tool look")
        call.start_time_unix_nano, call.end_time_unix_nano = at_ns, at_ns + CALL_NS // 2
        describe(call, {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look"})
    agent = spans.add(trace_id=trace_id, span_id=root, name="invoke_agent seeker")
    agent.start_time_unix_nano, agent.end_time_unix_nano = begins_ns - 1, begins_ns + calls * CALL_NS
    describe(agent, {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "seeker"})
    return request.SerializeToString()


def describe(span: Span, attributes: dict[str, str]) -> None:
    for name, value in attributes.items():
        span.attributes.add(key=name).value.string_value = value


def wait_for_rows(pipeline: PipelineProcess, *command: str) -> list[dict[str, object]]:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        found: list[dict[str, object]] = json.loads(pipeline.run(*command, "--format", "json"))
        if any(row.get("kind", "review") == "review" for row in found):
            return found
        time.sleep(0.2)
    raise AssertionError(pipeline.log())


def test_a_grey_finding_is_reviewed_and_counted(pipeline: PipelineProcess) -> None:
    assert pipeline.post("/v1/traces", calls_without_content(8))[0] == 200
    asked = wait_for_rows(pipeline, "approvals", "list")
    (review,) = [event for event in asked if event["kind"] == "review"]
    (found,) = pipeline.detections()
    assert (review["detection_id"], found["confidence"] < 0.65) == (found["id"], True)
    pipeline.run("approvals", "reject", str(review["healing_id"])[:10], "--note", "it waits for a file")
    overall, of_framework = wait_for_rows(pipeline, "feedback", "stats")
    assert (overall["detector"], overall["samples"], overall["correct"]) == ("loop", 1, 0)
    assert of_framework["tier"] == found["tier"]
    left = json.loads(pipeline.run("approvals", "list", "--format", "json"))
    assert "review" not in [event["kind"] for event in left]
    assert pipeline.query("SELECT count() FROM healing FINAL WHERE Event = 'applied'") == "0"
    assert pipeline.query("SELECT Note FROM feedback") == "it waits for a file"
