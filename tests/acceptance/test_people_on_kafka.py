"""People and a pipeline of roles over a real broker: a review, its answer, a verdict, and a threshold that holds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_servers import ChdbServer
from kafka_broker import Broker
from role_processes import RoleProcesses
from test_reviews_end_to_end import calls_without_content

from collector.cli.recorded_runs import recorded_runs

pytestmark = pytest.mark.timeout(300)

WAIT_SECONDS = 90.0


@pytest.fixture
def roles(kafka: Broker, topic_prefix: str, tmp_path: Path) -> Iterator[RoleProcesses]:
    (tmp_path / "store").mkdir()
    server = ChdbServer(tmp_path / "store")
    settings = ("bus::partitions=2", "service::run_idle_seconds=1")
    running = RoleProcesses(tmp_path / "roles", kafka.bootstrap, topic_prefix, server.dsn("people"), *settings)
    try:
        yield running.start()
    finally:
        running.close()
        server.close()


def shown(roles: RoleProcesses, *command: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(roles.run(*command, "--format", "json"))
    return found


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def send(roles: RoleProcesses, name: str) -> None:
    run = next(run for run in recorded_runs(time.time_ns()) if run.name == name)
    for path, body in run.requests:
        assert roles.post(path, body)[0] == 200


def of_kind(roles: RoleProcesses, kind: str) -> list[dict[str, Any]]:
    return [event for event in shown(roles, "approvals", "list") if event["kind"] == kind]


def test_a_review_a_verdict_and_a_threshold_go_their_way_over_the_broker(roles: RoleProcesses) -> None:
    assert roles.post("/v1/traces", calls_without_content(8))[0] == 200
    until(lambda: of_kind(roles, "review"))
    (review,) = of_kind(roles, "review")
    roles.run("approvals", "reject", str(review["healing_id"])[:10], "--note", "it waits for a file")
    until(lambda: shown(roles, "feedback", "stats"))
    assert not of_kind(roles, "review")
    assert roles.query("SELECT Note FROM feedback") == "it waits for a file"

    send(roles, "strands-loop")
    until(lambda: any(found["confidence"] > 0.65 for found in roles.detections("--type", "loop")))
    sure = max(roles.detections("--type", "loop"), key=lambda found: found["confidence"])
    roles.run("feedback", sure["id"], "--correct")
    until(lambda: shown(roles, "feedback", "stats")[0]["samples"] == 2)
    assert shown(roles, "feedback", "stats")[0]["correct"] == 1

    roles.run("thresholds", "set", "loop", "0.999")
    until(lambda: shown(roles, "thresholds"))
    roles.settle(WAIT_SECONDS)
    before = {found["id"] for found in roles.detections("--type", "loop")}
    send(roles, "pydantic-ai-loop")
    until(lambda: len(shown(roles, "runs")) == 3)
    roles.settle(WAIT_SECONDS)
    assert {found["id"] for found in roles.detections("--type", "loop")} == before
