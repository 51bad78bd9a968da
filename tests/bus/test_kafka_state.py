"""State on a changelog, and members with a name of their own."""

from __future__ import annotations

import time

import pytest
from counting_stage import Counting, counted, once_each, publish
from kafka_broker import Broker
from kafka_buses import make_topics, open_kafka_bus

from collector.bus.kafka import KafkaBus
from collector.bus.kafka_connection import KafkaConnection
from collector.bus.protocol import StateChange
from collector.stages import StageThread
from schemas.metrics import RESTORE_LEFT

MANY = 20_000
SESSION_SECONDS = 20.0


def test_state_is_whole_before_the_first_poll_with_its_order_and_due_times(kafka: Broker, topic_prefix: str) -> None:
    make_topics(KafkaConnection(kafka.bootstrap, topic_prefix))
    bus = open_kafka_bus(kafka.bootstrap, topic_prefix)
    consumer = bus.consumer("g", ["usage"])
    for number in range(0, MANY, 5_000):
        changes = [StateChange("s", f"{key:06}", b"v" * 50, due_ns=key) for key in range(number, number + 5_000)]
        consumer.commit(changes=changes)
    consumer.commit(changes=[StateChange("s", "000007", None), StateChange("other", "a/b", b"with a slash")])
    consumer.close()
    bus.close()
    bus = open_kafka_bus(kafka.bootstrap, topic_prefix)
    state = bus.consumer("g", ["usage"]).state
    assert state.count("s") == MANY - 1
    assert [key for key, _ in state.scan("s", "00000")] == [f"{key:06}" for key in range(10) if key != 7]
    assert state.due("s", 8, 100) == [f"{key:06}" for key in range(9) if key != 7]
    assert state.get("other", "a/b") == b"with a slash"
    assert RESTORE_LEFT.labels(stage="g", partition="0")._value.get() == 0
    bus.close()


def member(kafka: Broker, prefix: str, name: str) -> tuple[KafkaBus, StageThread]:
    connection = KafkaConnection(kafka.bootstrap, prefix, session_seconds=SESSION_SECONDS, instance_id=name)
    bus = KafkaBus(connection, replication=1)
    thread = StageThread("counting", Counting, bus, pytest.fail)
    thread.start()
    return bus, thread


def leave(bus: KafkaBus, thread: StageThread) -> None:
    thread.stop()
    assert thread.join(60)
    bus.close()


def until_they_share(*threads: StageThread) -> None:
    deadline = time.monotonic() + 60
    while any(len(thread._tasks) != 2 for thread in threads):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_member_with_a_name_that_starts_again_moves_nobodys_tasks(kafka: Broker, topic_prefix: str) -> None:
    make_topics(KafkaConnection(kafka.bootstrap, topic_prefix), 4)
    one, two = member(kafka, topic_prefix, "one"), member(kafka, topic_prefix, "two")
    until_they_share(one[1], two[1])
    worked = dict(one[1]._tasks)
    leave(*two)
    two = member(kafka, topic_prefix, "two")
    until_they_share(two[1])
    publish(one[0], 2)
    assert counted(one[0], 2) == once_each(2)
    assert one[1]._tasks == worked
    leave(*one)
    leave(*two)
