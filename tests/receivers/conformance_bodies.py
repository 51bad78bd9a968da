"""Bodies of the conformance table's requests."""

from __future__ import annotations

from typing import Any

from open_doors import BODY_LIMIT, request
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.protobuf_wire import field

IDS = '"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174"'


def in_json(extra: str = "", ids: str = IDS) -> bytes:
    """Write a request of one span."""
    return ('{"resourceSpans":[{"scopeSpans":[{"spans":[{' + ids + ',"name":"x"' + extra + "}]}]}]}").encode()


def attribute(value: str) -> bytes:
    """Write a request whose span has one attribute."""
    return in_json(',"attributes":[{"key":"k","value":' + value + "}]")


def without_ids() -> bytes:
    """Write two proper spans, and one that can never be stored."""
    made = ExportTraceServiceRequest.FromString(request(2))
    made.resource_spans[0].scope_spans[0].spans.add(trace_id=b"short", span_id=bytes(8))
    return made.SerializeToString()


def over_record_limit() -> bytes:
    """Write three spans, one of them larger than the bus takes."""
    made = ExportTraceServiceRequest.FromString(request(3))
    made.resource_spans[0].scope_spans[0].spans[1].name = "x" * 1_000
    return made.SerializeToString()


def nested(levels: int) -> bytes:
    """Write a span whose attribute is a list in a list, and so on."""
    value = b""
    for _ in range(levels):
        value = field(5, field(1, value))
    span = field(1, b"\x01" * 16) + field(2, b"\x01" * 8) + field(9, field(1, b"k") + field(2, value))
    return field(1, field(2, field(2, span)))


def chunked(body: bytes) -> bytes:
    """Write a body in chunks of three bytes."""
    pieces = [body[at : at + 3] for at in range(0, len(body), 3)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def bomb(compress: Any) -> Any:
    """Make what becomes fifty times the limit."""
    return lambda: bytes(compress(bytes(50 * BODY_LIMIT)))
