"""Buses on the broker of the test session, each prefix a world of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from collector.bus.kafka import KafkaBus
from collector.bus.kafka_connection import KafkaConnection
from collector.bus.kafka_topics import KafkaTopics
from schemas.topics import TOPICS, Topic


def make_topics(connection: KafkaConnection, partitions: int = 1, wanted: Sequence[Topic] = TOPICS) -> None:
    """Make all topics under a connection's prefix."""

    async def make() -> None:
        topics = KafkaTopics(connection)
        await topics.start()
        await topics.create(wanted, partitions, 1)
        await topics.close()

    asyncio.run(make())


def open_kafka_bus(bootstrap: str, prefix: str) -> KafkaBus:
    """Open a bus whose topics were made."""
    return KafkaBus(KafkaConnection(bootstrap, prefix), replication=1)
