"""`google.rpc.Status` and `RetryInfo`, the bodies of refusals: few fields, written here without a package."""

from __future__ import annotations

import orjson
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration

INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = (
    3,
    5,
    7,
    8,
    12,
    13,
    14,
)
RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"


def status_json(code: int, message: str) -> bytes:
    """Write a Status as JSON."""
    return orjson.dumps({"code": code, "message": message})


def status_protobuf(code: int, message: str, retry_seconds: float = 0.0) -> bytes:
    """Write a Status as protobuf; with a delay it carries RetryInfo."""
    text = message.encode("utf-8", "replace")
    data = b"\x08" + _varint(code) + b"\x12" + _varint(len(text)) + text
    if retry_seconds > 0:
        detail = AnyMessage(type_url=RETRY_INFO, value=_retry_info(retry_seconds)).SerializeToString()
        data += b"\x1a" + _varint(len(detail)) + detail
    return data


def _retry_info(seconds: float) -> bytes:
    whole = int(seconds)
    delay = Duration(seconds=whole, nanos=int((seconds - whole) * 1e9)).SerializeToString()
    return b"\x0a" + _varint(len(delay)) + delay


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
