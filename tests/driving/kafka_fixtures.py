"""A broker for the whole test session, and names on it that no other test uses."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator

import pytest
from kafka_broker import Broker, open_broker
from kafka_buses import make_topics, open_kafka_bus
from kafka_jars import NoBroker

from collector.bus.kafka import KafkaBus
from collector.bus.kafka_connection import KafkaConnection

OpenBuses = Callable[[int], Callable[[], KafkaBus]]
"""Makes topics of so many partitions; what it gives opens one bus after another on them."""


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    try:
        broker = open_broker(tmp_path_factory.mktemp("kafka"))
    except NoBroker as reason:
        said = f"no Kafka broker: {reason}"
        if os.environ.get("TRACEMEND_TEST_REQUIRE_KAFKA"):
            pytest.fail(said)
        pytest.skip(said)
    yield broker
    broker.close()


@pytest.fixture
def topic_prefix() -> str:
    return f"t{uuid.uuid4().hex[:10]}-"


@pytest.fixture
def kafka_buses(kafka: Broker, topic_prefix: str) -> Iterator[OpenBuses]:
    opened: list[KafkaBus] = []

    def open_one() -> KafkaBus:
        opened.append(open_kafka_bus(kafka.bootstrap, topic_prefix))
        return opened[-1]

    def with_partitions(partitions: int) -> Callable[[], KafkaBus]:
        make_topics(KafkaConnection(kafka.bootstrap, topic_prefix), partitions)
        return open_one

    yield with_partitions
    for bus in opened:
        bus.close()
