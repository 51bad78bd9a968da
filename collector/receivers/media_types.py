"""The two encodings of OTLP over HTTP."""

from __future__ import annotations

PROTOBUF, JSON = "application/x-protobuf", "application/json"
PROTOBUFS = frozenset({PROTOBUF, "application/protobuf"})
