"""Keyed state of a task: in memory to read, and on a compacted changelog topic to survive.

A change is a record: key `store/key`, the value as it is (none: deleted), its due time and the version of what is
stored in headers. What a program of another version wrote is dropped when state is restored, and counted.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import ConsumerRecord, TopicPartition

from collector.bus import embedded_log as log
from collector.bus import protocol
from collector.bus.embedded_consumer import EmbeddedState
from collector.bus.kafka_connection import KafkaConnection
from collector.bus.kafka_ends import KafkaEnds
from collector.bus.kafka_records import Sent
from collector.bus.protocol import BusUnavailable, StateChange
from schemas.metrics import RESTORE_LEFT, STATE_DROPPED

DUE_HEADER, VERSION_HEADER = "due-ns", "state-version"
NOTHING_SECONDS = 30.0
"""How long a restore may go without a record before it is given up for now."""


class Changelog:
    """The state of one task. `state` is as of the last commit."""

    def __init__(self, connection: KafkaConnection, ends: KafkaEnds, group: str, topic: str, partition: int) -> None:
        self._connection = connection
        self._ends = ends
        self._group = group
        self._partition = TopicPartition(connection.on_broker(topic), partition)
        self._memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._memory.executescript(log.STATE_SCHEMA)
        self._next = 0
        self.left = 0
        """Records still to be read before the state is whole."""
        self.state = EmbeddedState(self._memory, group)

    def close(self) -> None:
        """Forget the state."""
        self._memory.close()
        self._show_left(0)

    def to_send(self, changes: Iterable[StateChange]) -> list[Sent]:
        """Make the records of changes, the last one for each key."""
        last = {(change.store, change.key): change for change in changes}
        return [
            Sent(
                self._partition.topic,
                change.value,
                f"{change.store}/{change.key}".encode(),
                self._partition.partition,
                None,
                _headers(change),
            )
            for change in last.values()
        ]

    def apply(self, changes: Sequence[StateChange], last_offset: int = -1) -> None:
        """Take over changes that were committed, the last of them at this offset."""
        log.change_state(self._memory, self._group, changes)
        self._next = max(self._next, last_offset + 1)

    async def restore(self) -> None:
        """Read what was committed since this was last in step, to the end of the changelog."""
        end = (await self._ends.of([self._partition]))[self._partition]
        if self._next >= end:
            return
        consumer = AIOKafkaConsumer(
            isolation_level="read_committed", auto_offset_reset="earliest", **self._connection.options()
        )
        consumer.assign([self._partition])
        await consumer.start()
        try:
            await self._read(consumer, end)
        finally:
            await consumer.stop()

    async def _read(self, consumer: AIOKafkaConsumer, end: int) -> None:
        consumer.seek(self._partition, self._next)
        heard = time.monotonic()
        while self._next < end:
            fetched = await consumer.getmany(self._partition, timeout_ms=200)
            self._take(fetched.get(self._partition, ()))
            at = await consumer.position(self._partition)
            heard = time.monotonic() if at > self._next else heard
            self._next = at
            self._show_left(end - at)
            if time.monotonic() - heard > NOTHING_SECONDS:
                raise BusUnavailable(f"the state of {self._group} cannot be read back: {self._partition} gives nothing")
        self._show_left(0)

    def _show_left(self, records: int) -> None:
        self.left = max(0, records)
        RESTORE_LEFT.labels(stage=self._group, partition=str(self._partition.partition)).set(self.left)

    def _take(self, records: Iterable[ConsumerRecord[bytes, bytes]]) -> None:
        self._memory.execute("BEGIN")
        log.change_state(self._memory, self._group, [change for record in records for change in self._change(record)])
        self._memory.execute("COMMIT")

    def _change(self, record: ConsumerRecord[bytes, bytes]) -> Iterable[StateChange]:
        store, _, key = (record.key or b"").decode("utf-8", "replace").partition("/")
        headers = dict(record.headers)
        value, due = record.value, headers.get(DUE_HEADER)
        if value is not None and headers.get(VERSION_HEADER) != _version():
            STATE_DROPPED.labels(stage=self._group).inc()
            value = None
        yield StateChange(store, key, value, int(due) if due else None)


def _headers(change: StateChange) -> list[tuple[str, bytes]]:
    if change.value is None:
        return []
    due = [(DUE_HEADER, str(change.due_ns).encode())] if change.due_ns is not None else []
    return [(VERSION_HEADER, _version()), *due]


def _version() -> bytes:
    return str(protocol.STATE_VERSION).encode()
