"""The bus on a real Kafka broker: the contract of every bus, and what is its own."""

from __future__ import annotations

import pytest
from bus_contract import BusContract, OpenBus
from kafka_broker import Broker
from kafka_buses import make_topics, open_kafka_bus

from collector.bus.kafka_connection import KafkaConnection


@pytest.fixture
def open_bus(kafka: Broker, topic_prefix: str) -> OpenBus:
    make_topics(KafkaConnection(kafka.bootstrap, topic_prefix))
    return lambda: open_kafka_bus(kafka.bootstrap, topic_prefix)


class TestKafkaBus(BusContract):
    """The bus on Kafka is a bus."""
