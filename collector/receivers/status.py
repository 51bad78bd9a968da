"""`google.rpc.Status` with its details, the bodies of refusals: few fields, written here without a package."""

from __future__ import annotations

from typing import Any

import orjson
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration

from collector.protobuf_wire import encoded, field

INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, UNAUTHENTICATED = 3, 8, 12, 13, 14, 16
LONGEST_MESSAGE = 4_096
"""Characters of a message; what a client sent may stand in it."""
RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"


def status_json(code: int, message: str, retry_seconds: float = 0.0, at: str = "") -> bytes:
    """Write a Status as JSON; a delay becomes RetryInfo, what is invalid BadRequest with its path."""
    message = message[:LONGEST_MESSAGE]
    status: dict[str, Any] = {"code": code, "message": message}
    details: list[dict[str, Any]] = []
    if retry_seconds > 0:
        details.append({"@type": RETRY_INFO, "retryDelay": f"{retry_seconds:.3f}s"})
    if code == INVALID_ARGUMENT:
        details.append({"@type": BAD_REQUEST, "fieldViolations": [{"field": at, "description": message}]})
    return orjson.dumps({**status, "details": details} if details else status)


def status_protobuf(code: int, message: str, retry_seconds: float = 0.0, at: str = "") -> bytes:
    """Write a Status as protobuf, with the same details."""
    text = message[:LONGEST_MESSAGE].encode("utf-8", "replace")
    data = b"\x08" + encoded(code) + field(2, text)
    if retry_seconds > 0:
        data += field(3, _any(RETRY_INFO, field(1, _duration(retry_seconds))))
    if code == INVALID_ARGUMENT:
        data += field(3, _any(BAD_REQUEST, field(1, field(1, at.encode("utf-8", "replace")) + field(2, text))))
    return data


def _any(kind: str, value: bytes) -> bytes:
    return AnyMessage(type_url=kind, value=value).SerializeToString()


def _duration(seconds: float) -> bytes:
    whole = int(seconds)
    return Duration(seconds=whole, nanos=int((seconds - whole) * 1e9)).SerializeToString()
