"""An agent that searches for the same thing in other words, as spans at the door."""

from __future__ import annotations

import json
import time
from typing import Any

from escalated_runs import span
from pipeline_process import PipelineProcess

QUERIES = (
    "average rainfall in the Atacama desert",
    "Atacama desert average precipitation",
    "how much rainfall the Atacama desert gets",
)
NOTHING = "No results found."
WAIT_SECONDS = 90.0


def searches(run: str) -> bytes:
    """Write an OTLP request: an agent and its searches, none of which finds anything."""
    begin_ns = time.time_ns() - 60_000_000_000
    spans = [_span(run, 1, begin_ns, "invoke_agent", {})]
    for number, query in enumerate(QUERIES, 2):
        called = {"gen_ai.tool.call.arguments": json.dumps({"query": query}), "gen_ai.tool.call.result": NOTHING}
        spans.append(_span(run, number, begin_ns + number * 100_000_000, "execute_tool", called))
    spans[0]["endTimeUnixNano"] = str(begin_ns + 10_000_000_000)
    body = {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {"name": "test"}, "spans": spans[::-1]}]}]}
    return json.dumps(body).encode()


def _span(run: str, number: int, at_ns: int, operation: str, said: dict[str, str]) -> dict[str, Any]:
    said = {"gen_ai.operation.name": operation, "gen_ai.agent.name": "scout", **said}
    if operation == "execute_tool":
        said["gen_ai.tool.name"] = "web_search"
    parent = {"parentSpanId": span(1)} if number > 1 else {}
    attributes = [{"key": name, "value": {"stringValue": value}} for name, value in said.items()]
    times = {"startTimeUnixNano": str(at_ns), "endTimeUnixNano": str(at_ns + 50_000_000)}
    return {"traceId": run, "spanId": span(number), "name": operation, "attributes": attributes, **parent, **times}


def latest_loop(pipeline: PipelineProcess, until: str) -> dict[str, Any]:
    """Wait until the loop of the searches is stored with something in its evidence, or with nothing more to come."""
    deadline = time.monotonic() + WAIT_SECONDS
    found: dict[str, Any] = {}
    while time.monotonic() < deadline:
        rows = pipeline.query("SELECT Json FROM detections_latest WHERE Type = 'loop' FORMAT TSVRaw").splitlines()
        found = dict(json.loads(rows[0])) if rows else {}
        if found and (not until or until in found["evidence"]):
            return found
        time.sleep(0.3)
    raise AssertionError(f"at last it was {found}")
