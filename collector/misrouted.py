"""Spans and logs that another program put on the bus, into partitions of its own choosing.

A Collector's Kafka exporter spreads records as it likes unless it is told to partition by trace. All of a trace must
come to one partition, so such a record is split and published once more, by the normaliser, as the receiver would
have done; the span sink leaves the first one to it and stores the second.
"""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.bus.murmur2 import TRACE_KEY, partition_of, partitions_of
from collector.bus.protocol import Outgoing, Record
from collector.bus.repeats import hash_of
from collector.item_keys import log_keys, span_keys
from collector.spans_by_partition import split
from schemas.topics import CONTENT_HASH_HEADER, OTLP_LOGS, OTLP_SPANS, REPLAY_FOR_HEADER

ROUTED = (OTLP_SPANS, OTLP_LOGS)
"""Topics whose records have a place; metrics may stand anywhere."""


def in_one_partition(_topic: str) -> int:
    """Say that topics have one partition, as where nobody chose otherwise."""
    return 1


def is_misrouted(record: Record, partitions: int) -> bool:
    """Say whether a record holds something that belongs into another partition.

    What the receiver wrote, or was published again, carries a content hash and is not looked into; neither is what
    stands where its key, a trace id, belongs. A record that cannot be read is not misrouted but broken.
    """
    if partitions == 1 or record.topic not in ROUTED or CONTENT_HASH_HEADER in record.headers:
        return False
    if len(record.key) == TRACE_KEY and partition_of(record.key, partitions) == record.partition:
        return False
    try:
        keys = {key or "" for key in _keys(record)}
    except DecodeError:
        return False
    return bool(set(partitions_of(list(keys), partitions)) - {record.partition})


def routed(record: Record, partitions: int) -> list[Outgoing]:
    """Split a misrouted record into those that the receiver would have made of it; what has no key goes to the first.

    The same record gives the same bytes, so that a repeat of it is recognised where its parts belong. They are for
    everybody, also where the record was put back for the normaliser alone: nobody else has taken it yet.
    """
    parts = split(record.value, [key or "" for key in _keys(record)], partitions, 2 * len(record.value)).parts
    headers = {name: value for name, value in record.headers.items() if name != REPLAY_FOR_HEADER}
    return [
        Outgoing(
            record.topic,
            part.key,
            part.value,
            {**headers, CONTENT_HASH_HEADER: hash_of(headers, part.value).encode()},
            part.partition,
        )
        for part in parts
    ]


def _keys(record: Record) -> Sequence[str | None]:
    if record.topic == OTLP_LOGS:
        return log_keys(ExportLogsServiceRequest.FromString(record.value))
    return span_keys(ExportTraceServiceRequest.FromString(record.value))
