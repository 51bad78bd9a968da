"""Commits on Kafka that fail, or seem to: what was kept is what the broker has, and the next one goes through."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from bus_contract import read_all, records
from kafka_broker import Broker
from kafka_buses import make_topics, open_kafka_bus

from collector.bus.kafka import KafkaBus
from collector.bus.kafka_connection import KafkaConnection
from collector.bus.protocol import BusUnavailable, Consumer, Outgoing, RecordTooLarge, StateChange
from schemas.topics import changelog_of


@pytest.fixture
def bus(kafka: Broker, topic_prefix: str) -> Iterator[KafkaBus]:
    make_topics(KafkaConnection(kafka.bootstrap, topic_prefix))
    opened = open_kafka_bus(kafka.bootstrap, topic_prefix)
    yield opened
    opened.close()


def work(consumer: Consumer) -> None:
    """Read what there is, and say and keep how much that was."""
    batch = consumer.poll(timeout_seconds=10.0)
    count = int(consumer.state.get("s", "count") or b"0") + len(batch.records)
    value = str(count).encode()
    consumer.commit([Outgoing("detections", "k", value)], [StateChange("s", "count", value)])


@pytest.mark.parametrize("is_committed", [True, False])
def test_a_commit_whose_answer_is_lost_is_looked_up(
    bus: KafkaBus, monkeypatch: pytest.MonkeyPatch, is_committed: bool
) -> None:
    original = AIOKafkaProducer.commit_transaction

    async def answer_lost(self: AIOKafkaProducer, *arguments: Any) -> None:
        if is_committed:
            await original(self, *arguments)
        raise KafkaError("the connection went away")

    bus.publish(records(b"1", b"2")).result(20)
    consumer = bus.consumer("g", ["usage"])
    with monkeypatch.context() as patched:
        patched.setattr(AIOKafkaProducer, "commit_transaction", answer_lost)
        with pytest.raises(BusUnavailable, match="the connection went away"):
            work(consumer)
    assert consumer.state.get("s", "count") is None
    consumer.rewind()
    assert consumer.state.get("s", "count") == (b"2" if is_committed else None)
    if not is_committed:
        work(consumer)
    bus.publish(records(b"3")).result(20)
    work(consumer)
    assert consumer.state.get("s", "count") == b"3"
    assert read_all(bus, "reader", "detections") == [b"2", b"3"]
    consumer.close()


def test_what_no_record_can_hold_fails_the_commit_and_the_one_after_it_goes_through(bus: KafkaBus) -> None:
    bus.publish(records(b"1")).result(20)
    consumer = bus.consumer("g", ["usage"])
    consumer.poll(timeout_seconds=10.0)
    too_large = os.urandom(changelog_of("g").max_message_bytes + 1)
    with pytest.raises(RecordTooLarge):
        consumer.commit([Outgoing("detections", "k", b"beside it")], [StateChange("s", "large", too_large)])
    with pytest.raises(RecordTooLarge):
        consumer.commit([Outgoing("detections", "k", os.urandom(3_000_000))])  # the topic's own limit is lower
    consumer.rewind()
    work(consumer)
    assert read_all(bus, "reader", "detections") == [b"1"]
    assert consumer.state.get("s", "large") is None
    consumer.close()
