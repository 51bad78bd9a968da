"""The role as processes of its own on a real broker, killed at work: each finding is told, or handed on, once.

Where the full model is installed the findings are looked at; where it is not, the role hands them on.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson
import pytest
from escalated_runs import trace
from kafka_broker import Broker
from kafka_buses import open_kafka_bus
from looked_runs import AGAIN, grey_run
from msgspec.msgpack import decode
from role_processes import RoleProcesses

from collector.bus.protocol import Consumer
from processors.judging.reading import JUDGE
from processors.looking.verdicts import SOURCE
from schemas.topics import DETECTIONS, ESCALATIONS

pytestmark = [pytest.mark.crash, pytest.mark.transformers, pytest.mark.timeout(300)]

ROLE = "processors/embedding_similarity"
SETTINGS = (
    "processors::embedding_similarity::enabled=true",
    "processors::embedding_similarity::second_look=true",
    "bus::partitions=2",
    "bus::kafka::session_timeout_seconds=6",
)
NO_STORE = "clickhouse://nobody@127.0.0.1:1/none"
RUNS, WAIT_SECONDS = 40, 150.0
CONFIRMED, HANDED_ON = "confirmed", "handed on"


@pytest.fixture
def roles(kafka: Broker, topic_prefix: str, tmp_path: Path) -> Iterator[RoleProcesses]:
    running = RoleProcesses(tmp_path, kafka.bootstrap, topic_prefix, NO_STORE, *SETTINGS, roles=(ROLE,))
    try:
        yield running.start()
    finally:
        running.close()


def test_killed_at_work_each_finding_comes_out_once(roles: RoleProcesses, kafka: Broker, topic_prefix: str) -> None:
    bus = open_kafka_bus(kafka.bootstrap, topic_prefix)
    reader = bus.reader([DETECTIONS, ESCALATIONS])
    came: Counter[tuple[str, str]] = Counter()
    second = roles.spawn(f"{ROLE}#2")
    second.wait_until_ready()
    for number in range(RUNS):
        bus.publish(grey_run(trace(number), AGAIN)).result(30)
        if number == RUNS // 4:
            roles.kill(ROLE)
        if number == RUNS // 2:
            roles.spawn(ROLE)
    deadline = time.monotonic() + WAIT_SECONDS
    while len(came) < RUNS:
        assert time.monotonic() < deadline, f"{len(came)} of {RUNS} came out: {second.log()}"
        read(reader, came)
    read(reader, came)
    bus.close()
    expected = CONFIRMED if find_spec("sentence_transformers") is not None else HANDED_ON
    assert came == {(trace(number), expected): 1 for number in range(RUNS)}


def read(reader: Consumer, came: Counter[tuple[str, str]]) -> None:
    """Count what became of each run's finding."""
    for record in reader.poll(timeout_seconds=0.5).records:
        if record.topic == ESCALATIONS and record.headers["next_tier"] == JUDGE:
            document: dict[str, Any] = decode(record.value)[1]
            came[document["run_id"], HANDED_ON] += 1
        elif record.topic == DETECTIONS and record.headers["ce_source"] == SOURCE:
            document = orjson.loads(record.value)
            came[document["run_id"], document["evidence"]["second_look"]["found"]] += 1
