"""One transactional producer after another, under one transactional id: whoever begins with it last is the one.

A commit whose end is not known (the broker did not answer) leaves the producer unusable; `begin` makes another, and
that makes Kafka finish the transaction before, one way or the other. So what is read after `begin` is settled.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.structs import OffsetAndMetadata, RecordMetadata, TopicPartition

from collector.bus.kafka_connection import COMPRESSION, KafkaConnection
from collector.bus.kafka_errors import is_too_large, sorted_error, too_large
from collector.bus.kafka_records import Sent
from collector.bus.protocol import BusUnavailable

BEGIN_SECONDS, COMMIT_SECONDS, ABORT_SECONDS, LETTING_GO_SECONDS = 30.0, 30.0, 5.0, 2.0
BATCH_BYTES = 512 * 1024
Offsets = Mapping[TopicPartition, OffsetAndMetadata]


class Transactions:
    """Commits records and offsets together. Lives on the bus's loop."""

    def __init__(self, connection: KafkaConnection, transactional_id: str, max_bytes: int) -> None:
        self._connection = connection
        self._id = transactional_id
        self._max_bytes = max_bytes
        self._producer: AIOKafkaProducer | None = None

    async def begin(self) -> None:
        """Become the one producer of this id: those before are fenced, and their open transaction is ended."""
        await self.close()
        producer = AIOKafkaProducer(
            transactional_id=self._id,
            compression_type=COMPRESSION,
            max_request_size=self._max_bytes,
            max_batch_size=min(BATCH_BYTES, self._max_bytes),
            **self._connection.options(),
        )
        try:
            async with asyncio.timeout(BEGIN_SECONDS):
                await producer.start()
        except Exception as error:
            await let_go(producer)
            raise sorted_error(error, f"beginning transactions as {self._id}") from error
        self._producer = producer

    async def commit(self, records: Sequence[Sent], offsets: Offsets, group: str) -> list[RecordMetadata]:
        """Commit all of it or nothing; returns where the records went."""
        producer = self._producer
        if producer is None:
            raise BusUnavailable(f"{self._id} has no producer since its last commit failed")
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                await producer.begin_transaction()
                placed = await self._send(producer, records)
                if offsets:
                    await producer.send_offsets_to_transaction(dict(offsets), group)
                await producer.commit_transaction()
        except Exception as error:
            await self._give_up(producer)
            raise sorted_error(error, f"committing as {self._id}") from error
        return placed

    async def close(self) -> None:
        """Let go of the producer; what it had not committed is aborted by the next one, or by time."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await let_go(producer)

    async def _send(self, producer: AIOKafkaProducer, records: Sequence[Sent]) -> list[RecordMetadata]:
        sent = [(record, await self._sent(producer, record)) for record in records]
        placed: list[RecordMetadata] = []
        for record, future in sent:
            try:
                placed.append(await future)
            except Exception as error:
                raise self._told(error, record) from error
        return placed

    async def _sent(self, producer: AIOKafkaProducer, record: Sent) -> asyncio.Future[RecordMetadata]:
        try:
            future: asyncio.Future[RecordMetadata] = await producer.send(*record)
        except Exception as error:
            raise self._told(error, record) from error
        return future

    def _told(self, error: Exception, record: Sent) -> Exception:
        """Say which record is too large; other errors are sorted where the commit ends."""
        if is_too_large(error):
            size = len(record.value or b"") + len(record.key or b"")
            return too_large(self._connection.here(record.topic), size, self._max_bytes)
        return error

    async def _give_up(self, producer: AIOKafkaProducer) -> None:
        """Abort what was begun; a producer that cannot even do that is of no more use."""
        try:
            async with asyncio.timeout(ABORT_SECONDS):
                await producer.abort_transaction()
        except BaseException as error:
            await self.close()
            if not isinstance(error, Exception):
                raise


def has_ended(producer: AIOKafkaProducer) -> bool:
    """Say whether a producer sends no more: Kafka told it something that it cannot go on after."""
    sender = producer._sender.sender_task  # nor is there a public way to ask
    return sender is None or bool(sender.done())


async def let_go(producer: AIOKafkaProducer) -> None:
    """Stop a producer, also one whose broker does not answer: it would wait for that."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(LETTING_GO_SECONDS):
            await producer.stop()
            return
    sender = producer._sender.sender_task  # there is no public way to stop one that cannot flush
    if sender is not None:
        sender.cancel()
    with contextlib.suppress(Exception):
        await producer.client.close()
