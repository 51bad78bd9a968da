"""Requests of spans as OTLP/JSON, whose ids are hex where protobuf's own JSON has base64."""

from __future__ import annotations

import json

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def as_json(request: ExportTraceServiceRequest) -> bytes:
    """Write a request of one resource and one scope."""
    document = MessageToDict(request)
    written = document["resourceSpans"][0]["scopeSpans"][0]["spans"]
    for original, span in zip(request.resource_spans[0].scope_spans[0].spans, written, strict=True):
        span.update(traceId=original.trace_id.hex(), spanId=original.span_id.hex())
    return json.dumps(document).encode()
