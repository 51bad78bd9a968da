"""Two tenants on one pipeline: each key opens only what its tenant sent, up to the policies and the stream."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pipeline_process import PipelineProcess

from collector.cli.recorded_runs import recorded_runs
from collector.receivers.api_keys import hash_of, new_key

KEYS = {"acme": new_key(), "umbrella": new_key()}
ENTRIES = json.dumps([{"tenant": tenant, "hash": hash_of(key)} for tenant, key in KEYS.items()])
POLICY = "/v1/policies/strands-app/weather_agent"
STREAM = "/v1/detections/stream?last_event_id=0:-1"


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[PipelineProcess]:
    running = PipelineProcess(tmp_path / "data", f"extensions::api_keys::keys={ENTRIES}")
    try:
        yield running.start()
    finally:
        running.kill_if_running()


def asked(
    pipeline: PipelineProcess, door: str, tenant: str, method: str, path: str, body: bytes = b""
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection((pipeline.info() or {})[door], timeout=10)
    key = {"Authorization": f"Bearer {KEYS[tenant]}"} if tenant else {}
    connection.request(method, path, body, {"Content-Type": "application/x-protobuf", **key})
    return connection.getresponse()


def told(pipeline: PipelineProcess, tenant: str) -> list[dict[str, Any]]:
    """Read a tenant's detections until the stream has been quiet for a moment."""
    response, found, quiet = asked(pipeline, "metrics", tenant, "GET", STREAM), [], 0
    while quiet < 3:
        line = response.readline().decode().strip()
        quiet = quiet + 1 if line.startswith(":") else quiet
        if line.startswith("data: "):
            found.append(json.loads(line[6:]))
    response.close()
    return found


def test_each_tenant_is_shown_its_own_and_nobody_without_a_key_anything(shared: PipelineProcess) -> None:
    run = next(run for run in recorded_runs(time.time_ns()) if run.name == "strands-loop")
    for path, body in run.requests:
        assert asked(shared, "http", "", "POST", path, body).status == 401
        assert asked(shared, "http", "acme", "POST", path, body).status == 200
    shared.settle()
    found = told(shared, "acme")
    assert {document["tenant"] for document in found} == {"acme"}
    assert told(shared, "umbrella") == []
    rules = {tenant: json.loads(asked(shared, "metrics", tenant, "GET", POLICY).read())["rules"] for tenant in KEYS}
    assert (len(rules["acme"]), rules["umbrella"]) == (1, [])
    for path in (POLICY, STREAM):
        assert asked(shared, "metrics", "", "GET", path).status == 401
    assert asked(shared, "metrics", "", "GET", "/healthz").status == 200
