"""From real spans at the door to a verdict: a detector that is not sure, the judge, and the run that ends."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from escalated_runs import span, trace
from messages_server import MessagesServer, always, pieces
from pipeline_process import PipelineProcess

WAIT_SECONDS = 90.0
RUN = trace(77)


@pytest.fixture
def pipeline(tmp_path: Path, api: MessagesServer) -> Iterator[PipelineProcess]:
    judge = [f"processors::llm_judge::{one}" for one in ("api_key=sk-test", f"base_url={api.url}")]
    idle = ("service::run_idle_seconds=2", "service::lateness_seconds=1")
    running = PipelineProcess(tmp_path / "data", "service::processes=1", *judge, *idle)
    try:
        yield running.start()
    finally:
        running.kill_if_running()


def failing_calls(count: int) -> dict[str, Any]:
    """Write a run whose tool fails again and again, without its arguments: `retry_storm` cannot be sure of it."""
    begin_ns = time.time_ns() - 60_000_000_000
    root = {"traceId": RUN, "spanId": span(1), "name": "invoke_agent scout", "kind": 1}
    calls = [
        {"traceId": RUN, "spanId": span(n), "parentSpanId": span(1), "name": "lookup", "kind": 1}
        for n in range(2, count + 2)
    ]
    for number, one in enumerate([root, *calls]):
        at = begin_ns + number * 100_000_000
        one |= {"startTimeUnixNano": str(at), "endTimeUnixNano": str(at + 50_000_000)}
        one["attributes"] = attributes("invoke_agent" if one is root else "execute_tool")
        if one is not root:
            one["status"] = {"code": 2, "message": "upstream said 500, ask ada@example.org"}
    root["endTimeUnixNano"] = str(begin_ns + (count + 1) * 100_000_000)
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {"name": "test"}, "spans": [*calls, root]}]}]}


def attributes(operation: str) -> list[dict[str, Any]]:
    said = {"gen_ai.operation.name": operation, "gen_ai.agent.name": "scout", "gen_ai.tool.name": "lookup"}
    return [{"key": name, "value": {"stringValue": value}} for name, value in said.items()]


def latest(pipeline: PipelineProcess) -> dict[str, Any]:
    rows = pipeline.query("SELECT Json FROM detections_latest WHERE Type = 'retry_storm'").splitlines()
    return dict(json.loads(rows[0])) if rows else {}


@pytest.mark.parametrize(("answer", "status"), [("no", "closed"), ("yes", "withdrawn")])
def test_a_finding_its_detector_is_not_sure_of_is_judged_and_stays_so_when_its_run_ends(
    pipeline: PipelineProcess, api: MessagesServer, answer: str, status: str
) -> None:
    api.script = always(answer, 0.9)
    body = json.dumps(failing_calls(8)).encode()
    assert pipeline.post("/v1/traces", body, "application/json")[0] == 200
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := latest(pipeline)) or "judge" not in found["evidence"] or found["status"] != status:
        assert time.monotonic() < deadline, f"at last it was {found}"
        time.sleep(0.3)
    pipeline.settle()
    found = latest(pipeline)
    assert (found["status"], found["tier"], found["processor"]) == (status, 4, "retry_storm")
    assert found["cost_usd"] > 0
    (sent,) = [one for one in api.requests if "retry_storm" in one["system"][0]["text"]]
    assert "upstream said 500" in str(pieces(sent))
    assert "begins at: 0.3 s" in pieces(sent)["s4"]
    assert "ada@example.org" not in str(api.requests)
    assert pipeline.stop() == 0
