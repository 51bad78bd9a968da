"""A producer that Kafka has no more use for is replaced; what it had under way is told so, and later records arrive."""

from __future__ import annotations

import time

import pytest
from aiokafka.errors import OutOfOrderSequenceNumber
from aiokafka.producer.sender import SendProduceReqHandler
from kafka_broker import Broker
from kafka_buses import make_topics, open_kafka_bus

from collector.bus.kafka import KafkaBus
from collector.bus.kafka_connection import KafkaConnection
from collector.bus.kafka_publisher import Publisher
from collector.bus.protocol import BusUnavailable, Outgoing
from schemas.topics import USAGE

WAIT_SECONDS = 30.0


def publish(bus: KafkaBus, value: bytes) -> None:
    bus.publish([Outgoing(USAGE, "k", value)]).result(WAIT_SECONDS)


def test_a_producer_that_came_out_of_order_is_replaced(
    kafka: Broker, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a broker lost what it knew of it: aiokafka's producer then fails everything, for good."""
    make_topics(KafkaConnection(kafka.bootstrap, topic_prefix))
    bus = open_kafka_bus(kafka.bootstrap, topic_prefix)
    publish(bus, b"before")
    with monkeypatch.context() as broken:
        broken.setattr(SendProduceReqHandler, "handle_response", _out_of_order)
        with pytest.raises(BusUnavailable):
            publish(bus, b"lost from sight")
    until = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            publish(bus, b"after")
        except BusUnavailable:
            assert time.monotonic() < until, "it never comes back"
            time.sleep(0.1)
        else:
            break
    assert bus.trouble == ""
    reader = bus.reader([USAGE])
    reader.seek(USAGE, 0, 0)
    assert [record.value for record in reader.poll(timeout_seconds=10.0).records] == [
        b"before",
        b"lost from sight",
        b"after",
    ]
    bus.close()


def test_what_cannot_be_published_keeps_nothing_else_from_it(kafka: Broker, topic_prefix: str) -> None:
    make_topics(KafkaConnection(kafka.bootstrap, topic_prefix))
    bus = open_kafka_bus(kafka.bootstrap, topic_prefix)
    nowhere, nothing = bus.publish([Outgoing("no_such_topic", "k", b"")]), bus.publish([])
    publish(bus, b"beside it")
    with pytest.raises(BusUnavailable, match="no_such_topic"):
        nowhere.result(WAIT_SECONDS)
    nothing.result(WAIT_SECONDS)
    bus.close()


def test_one_that_ends_while_the_bus_closes_is_not_replaced(
    kafka: Broker, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Publisher] = []
    begin = Publisher.start

    async def counted(publisher: Publisher) -> None:
        begun.append(publisher)
        await begin(publisher)

    make_topics(KafkaConnection(kafka.bootstrap, topic_prefix))
    monkeypatch.setattr(Publisher, "start", counted)
    bus = open_kafka_bus(kafka.bootstrap, topic_prefix)
    publish(bus, b"before")
    monkeypatch.setattr(SendProduceReqHandler, "handle_response", _out_of_order)
    last = bus.publish([Outgoing(USAGE, "k", b"on its way")])
    bus.close()
    with pytest.raises(BusUnavailable):
        last.result(0)
    assert len(begun) == 1


def _out_of_order(*_: object) -> None:
    raise OutOfOrderSequenceNumber
