"""The second look as members of a group on a real broker: replicas share the looks, and each finding is told once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from escalated_runs import trace
from kafka_fixtures import OpenBuses
from looked_runs import AGAIN, grey_run
from looking_glass import TableEncoder

from collector.bus.kafka import KafkaBus
from collector.bus.protocol import Consumer
from collector.stages import STOPPED, StageThread
from processors.looking.encodings import Encodings
from processors.looking.verdicts import SOURCE
from processors.second_look import SecondLookStage
from schemas.topics import DETECTIONS

PARTITIONS, RUNS = 2, 24
UNLIKE = ("Balloons and cake for the garden party.", "The compiler reports a syntax error.")
WAIT_SECONDS = 90.0
Told = list[tuple[str, int, str]]


@pytest.fixture
def open_bus(kafka_buses: OpenBuses) -> Callable[[], KafkaBus]:
    return kafka_buses(PARTITIONS)


def replica(bus: KafkaBus) -> StageThread:
    """Start what the role starts, all its tasks on one model."""
    encodings = Encodings(TableEncoder())
    thread = StageThread(
        SecondLookStage.group,
        lambda: SecondLookStage(encodings, "a-model", bus.now_ns, 8 << 20, lambda _: ()),
        bus,
        pytest.fail,
    )
    thread.start()
    return thread


def runs(numbers: range) -> list[Any]:
    return [record for number in numbers for record in grey_run(trace(number), AGAIN if number % 2 else UNLIKE)]


def test_replicas_share_the_looks_and_each_finding_is_told_once(open_bus: Callable[[], KafkaBus]) -> None:
    one, two = open_bus(), open_bus()
    reader = one.reader([DETECTIONS])
    told: Told = []
    threads = [replica(one)]
    one.publish(runs(range(RUNS // 2))).result(30)
    follow(reader, told, RUNS // 2)
    threads.append(replica(two))
    one.publish(runs(range(RUNS // 2, RUNS))).result(30)
    follow(reader, told, RUNS)
    for thread in threads:
        thread.stop()
    for thread in threads:
        assert thread.join(60)
        assert thread.status == STOPPED, thread.error
    assert len({run for run, _, _ in told}) == len(told) == RUNS
    assert {run: status for run, _, status in told} == {
        trace(number): "open" if number % 2 else "withdrawn" for number in range(RUNS)
    }


def follow(reader: Consumer, told: Told, count: int) -> None:
    """Read what the second look tells until there is so much, and a little longer for what would be too much."""
    deadline = time.monotonic() + WAIT_SECONDS
    while len(told) < count:
        assert time.monotonic() < deadline, f"only {told}"
        read(reader, told)
    read(reader, told)


def read(reader: Consumer, told: Told) -> None:
    for record in reader.poll(timeout_seconds=0.5).records:
        if record.headers["ce_source"] == SOURCE:
            document = orjson.loads(record.value)
            told.append((document["run_id"], document["version"], document["status"]))
