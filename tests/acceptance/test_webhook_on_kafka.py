"""The webhook as a role of its own over a real Kafka broker: each event told, also where the sink is killed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka_broker import Broker
from kafka_buses import open_kafka_bus
from role_processes import RoleProcesses
from webhook_receiver import Received, WebhookReceiver, answer

from collector.cli.recorded_runs import recorded_runs
from schemas.topics import DETECTIONS

SINK = "sinks/webhook"
ROLES = ("receivers", "normaliser", "processors", "healing", SINK)
PARTITIONS = 3
NO_STORE = "clickhouse://nobody:none@127.0.0.1:1/none"
WAIT_SECONDS, SETTLE_SECONDS = 60.0, 60.0


@pytest.fixture
def roles(kafka: Broker, topic_prefix: str, tmp_path: Path, receiver: WebhookReceiver) -> Iterator[RoleProcesses]:
    settings = (
        f"bus::partitions={PARTITIONS}",
        "bus::kafka::replication=1",
        "bus::kafka::session_timeout_seconds=2",
        f"sinks::webhook::url={receiver.url}",
    )
    running = RoleProcesses(tmp_path / "roles", kafka.bootstrap, topic_prefix, NO_STORE, *settings, roles=ROLES)
    try:
        yield running.start()
    finally:
        running.close()


def send(roles: RoleProcesses, name: str) -> None:
    run = next(run for run in recorded_runs(time.time_ns()) if run.name == name)
    for path, body in run.requests:
        assert roles.post(path, body)[0] == 200


def published(bootstrap: str, prefix: str) -> set[str]:
    """Give the events that are on the topic of detections."""
    bus = open_kafka_bus(bootstrap, prefix)
    reader = bus.reader([DETECTIONS])
    for partition in range(PARTITIONS):
        reader.seek(DETECTIONS, partition, 0)
    found = set()
    while records := reader.poll(10_000, timeout_seconds=2.0).records:
        found |= {f"{one['id']}.{one['version']}" for one in (json.loads(record.value) for record in records)}
    bus.close()
    return found


def told(receiver: WebhookReceiver) -> list[dict[str, Any]]:
    events = [json.loads(body) for body in receiver.bodies()]
    return [event for event in events if event["type"] == "tracemend.detection/1"]


def wait_until(is_so: Callable[[], bool], roles: RoleProcesses) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, roles.processes[SINK].log()
        time.sleep(0.05)


def test_it_goes_on_where_it_was_killed_and_tells_each_event(
    kafka: Broker, topic_prefix: str, roles: RoleProcesses, receiver: WebhookReceiver
) -> None:
    """The kill comes while a receiver has an event and has not answered: nobody knows whether it was told."""
    asked, dead = threading.Event(), threading.Event()

    def no_answer(_: object) -> None:
        asked.set()
        dead.wait(WAIT_SECONDS)

    receiver.answers = [answer(204), no_answer]
    send(roles, "strands-loop")
    assert asked.wait(WAIT_SECONDS), roles.processes[SINK].log()
    roles.kill(SINK)
    dead.set()
    for name in ("pydantic-ai-loop", "strands-loop"):
        send(roles, name)  # while nobody is there to tell it
    roles.spawn(SINK).wait_until_ready()
    wait_until(lambda: {event["id"] for event in told(receiver)} >= published(kafka.bootstrap, topic_prefix), roles)
    roles.settle(SETTLE_SECONDS)
    wanted = published(kafka.bootstrap, topic_prefix)
    assert len(wanted) >= 3
    assert {event["id"] for event in told(receiver)} == wanted
    assert_the_same_twice(receiver.received)
    printed = {name for name, process in roles.processes.items() if "detection loop open" in process.log()}
    assert printed == {"healing"}, "each process would otherwise read and print what all find"


def assert_the_same_twice(received: list[Received]) -> None:
    """Hold what was told again against what was told before: the same, and called the same; the rest came once."""
    seen: dict[str, Received] = {}
    again = 0
    for request in received:
        before = seen.setdefault(request.headers["webhook-id"], request)
        again += before is not request
        assert (request.headers["idempotency-key"], json.loads(request.body)["data"]) == (
            before.headers["idempotency-key"],
            json.loads(before.body)["data"],
        )
    assert 1 <= again < len(seen)
