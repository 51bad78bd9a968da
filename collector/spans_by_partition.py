"""Splits a request by partition without touching what is in it: byte slices of the wire format, joined anew.

The request was parsed once before, so its structure can be trusted here. Every span lands on the partition of
its trace id (murmur2 of the 32 hex digits, as Java's default partitioner), every log record on that of its trace id,
else of its session, every metric on that of its service.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from collector.bus.murmur2 import partition_of
from schemas.topics import OTLP_LOGS, OTLP_METRICS

SESSION_KEYS = ("session.id", "gen_ai.conversation.id")
TRACE_ID_FIELD = {True: 9, False: 1}
"""Number of the trace id field: 9 in a log record, 1 in a span."""


class Part(NamedTuple):
    """What of a request goes to one partition. `key` is empty where the record holds more than one trace."""

    partition: int | None
    key: str
    value: bytes


def split(topic: str, request: Any, body: bytes, partitions: int) -> Iterable[Part]:
    """Split a request; with one partition it goes in unchanged."""
    if topic == OTLP_METRICS:
        return [Part(None, _service(request), body)]
    if partitions == 1:
        return [Part(0, _only_trace(request, topic == OTLP_LOGS), body)]
    return _split(body, partitions, topic == OTLP_LOGS)


def _service(request: Any) -> str:
    for resource in request.resource_metrics:
        for attribute in resource.resource.attributes:
            if attribute.key == "service.name":
                return str(attribute.value.string_value)
    return ""


def _only_trace(request: Any, logs: bool) -> str:
    """Give the trace id of a request that holds exactly one trace."""
    found = b""
    for items in _items(request, logs):
        for item in items:
            if found and item.trace_id != found:
                return ""
            found = item.trace_id
    return found.hex() if len(found) == 16 else ""


def _items(request: Any, logs: bool) -> Iterator[Any]:
    if logs:
        return (scope.log_records for rl in request.resource_logs for scope in rl.scope_logs)
    return (scope.spans for rs in request.resource_spans for scope in rs.scope_spans)


def _split(body: bytes, partitions: int, logs: bool) -> list[Part]:
    """Walk resources and scopes on the wire and hand each item's bytes to its partition."""
    parts: dict[int, list[bytes]] = {}
    for resource in (value for number, value in _fields(body) if number == 1):
        for partition, content in _split_resource(resource, partitions, logs).items():
            parts.setdefault(partition, []).append(_field(1, content))
    return [Part(partition, "", b"".join(contents)) for partition, contents in sorted(parts.items())]


def _split_resource(resource: bytes, partitions: int, logs: bool) -> dict[int, bytes]:
    head: list[bytes] = []
    scopes: dict[int, list[bytes]] = {}
    for number, value in _fields(resource):
        if number != 2:
            head.append(_field(number, value))
            continue
        for partition, content in _split_scope(value, partitions, logs).items():
            scopes.setdefault(partition, []).append(_field(2, content))
    return {partition: b"".join([*head, *contents]) for partition, contents in scopes.items()}


def _split_scope(scope: bytes, partitions: int, logs: bool) -> dict[int, bytes]:
    head: list[bytes] = []
    items: dict[int, list[bytes]] = {}
    for number, value in _fields(scope):
        if number != 2:
            head.append(_field(number, value))
            continue
        key = _log_key(value) if logs else _trace_id(value, logs)
        items.setdefault(partition_of(key, partitions), []).append(_field(2, value))
    return {partition: b"".join([*head, *contents]) for partition, contents in items.items()}


def _trace_id(item: bytes, logs: bool) -> str:
    if not logs and item[:2] == b"\x0a\x10":  # where every exporter puts it
        return item[2:18].hex()
    wanted = TRACE_ID_FIELD[logs]
    return next((value.hex() for number, value in _fields(item) if number == wanted), "")


def _log_key(item: bytes) -> str:
    return _trace_id(item, logs=True) or _session(item)


def _session(item: bytes) -> str:
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

    for attribute in LogRecord.FromString(item).attributes:
        if attribute.key in SESSION_KEYS:
            return str(attribute.value.string_value)
    return ""


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Walk the length-delimited fields of a message; others are passed over, none of ours is one."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 2:
            length, at = _varint(data, at)
            yield tag >> 3, data[at : at + length]
            at += length
        elif kind == 0:
            _, at = _varint(data, at)
        else:
            at += 8 if kind == 1 else 4


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _field(number: int, value: bytes) -> bytes:
    return _encoded(number << 3 | 2) + _encoded(len(value)) + value


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
