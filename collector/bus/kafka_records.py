"""Records as they travel on Kafka, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from aiokafka.structs import ConsumerRecord

from collector.bus.murmur2 import partition_of
from collector.bus.protocol import Outgoing, Record

MILLISECOND_NS = 1_000_000
BATCH_OVERHEAD_BYTES = 512
"""What Kafka adds around the one record of a batch: the batch's head, lengths, and the headers' names."""


class Sent(NamedTuple):
    """What aiokafka's `send` takes, in its order."""

    topic: str
    value: bytes | None
    key: bytes | None
    partition: int
    timestamp_ms: None
    headers: list[tuple[str, bytes]]


def to_send(record: Outgoing, topic: str, partitions: int) -> Sent:
    """Make what is sent of a record; `topic` is its name on the broker."""
    partition = partition_of(record.key, partitions) if record.partition is None else record.partition
    headers = list(record.headers.items())
    return Sent(topic, record.value, record.key.encode() or None, partition, None, headers)


def size_of(record: Outgoing) -> int:
    """Bound from above what a record takes on the broker, before it is compressed."""
    headers = sum(len(name) + len(value) + 8 for name, value in record.headers.items())
    return len(record.value) + len(record.key) * 4 + headers + BATCH_OVERHEAD_BYTES


def received(record: ConsumerRecord[bytes, bytes], topic: str, not_before_ns: int) -> Record:
    """Make a record of what was read. Brokers' clocks may go back; time in a partition does not."""
    key = record.key.decode("utf-8", "replace") if record.key else ""
    append_ns = max(record.timestamp * MILLISECOND_NS, not_before_ns)
    return Record(topic, record.partition, record.offset, key, record.value or b"", _headers(record), append_ns)


def _headers(record: Any) -> Mapping[str, bytes]:
    return {name: value or b"" for name, value in record.headers}
