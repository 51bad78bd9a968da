"""Where partitions begin and end, asked on one connection for all who want to know."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from collector.bus.kafka_connection import KafkaConnection


class KafkaEnds:
    """Asks for the ends of what is committed. Lives on the bus's loop; connects when first asked."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._consumer: AIOKafkaConsumer | None = None
        self._one_at_a_time = asyncio.Lock()

    async def of(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Give the offset after the last record that is committed, of each partition."""
        async with self._one_at_a_time:
            found: Mapping[TopicPartition, int] = await (await self._connected()).end_offsets(list(partitions))
            return found

    async def beginnings(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Give the offset of the oldest record of each partition."""
        async with self._one_at_a_time:
            found: Mapping[TopicPartition, int] = await (await self._connected()).beginning_offsets(list(partitions))
            return found

    async def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(isolation_level="read_committed", **self._connection.options())
            await consumer.start()
            self._consumer = consumer
        return self._consumer

    async def close(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            await self._consumer.stop()
