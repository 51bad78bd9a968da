"""A group's work on Kafka is split into tasks, which go from member to member with their state."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from counting_stage import Counting, counted, once_each, publish
from kafka_fixtures import OpenBuses

from collector import stages
from collector.bus.kafka import KafkaBus
from collector.stages import StageThread

PARTITIONS = 4


@pytest.fixture
def open_bus(kafka_buses: OpenBuses) -> Callable[[], KafkaBus]:
    return kafka_buses(PARTITIONS)


def member(bus: KafkaBus) -> StageThread:
    thread = StageThread("counting", Counting, bus, pytest.fail)
    thread.start()
    return thread


def stop(*threads: StageThread) -> None:
    for thread in threads:
        thread.stop()
    for thread in threads:
        assert thread.join(60)
        assert thread.status == stages.STOPPED, thread.error


def test_each_task_counts_its_own_and_a_member_that_comes_takes_some_with_their_state(
    open_bus: Callable[[], KafkaBus],
) -> None:
    one, two = open_bus(), open_bus()
    publish(one, 3)
    first = member(one)
    assert counted(one, 3) == once_each(3)
    second = member(two)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not second._tasks:
        publish(one, 1)
        time.sleep(0.1)
    assert len(first._tasks) == len(second._tasks) == PARTITIONS // 2
    publish(one, 2)
    said = counted(one, 6)
    for counts in said.values():
        assert counts == list(range(1, len(counts) + 1))
    stop(second)
    publish(one, 1)
    last = max(map(len, said.values()))
    after = counted(one, last + 1)
    for counts in after.values():
        assert counts == list(range(1, len(counts) + 1))
    stop(first)
