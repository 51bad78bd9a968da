"""Exports spans with the Python SDK; usage: client.py JOB, as tests/exporters/README.md describes it."""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

import grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    set_span_in_context,
)


def main(job: dict[str, Any]) -> None:
    """Carry out a job and print the ids of what was sent."""
    with open(job["trace"], encoding="utf-8") as file:
        trace = json.load(file)
    print(json.dumps([export(one, trace, job["traces"]) for one in job["exports"]]))


def export(how: dict[str, str], trace: dict[str, Any], times: int) -> list[list[str]]:
    """Send a trace so many times; returns the ids of each."""
    provider = TracerProvider(resource=Resource.create(attributes(trace["resource"])), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter(how)))
    tracer = provider.get_tracer(trace["scope"]["name"], trace["scope"]["version"])
    sent = [ids(send(tracer, trace["spans"])) for _ in range(times)]
    provider.force_flush()
    provider.shutdown()
    return sent


def exporter(how: dict[str, str]) -> SpanExporter:
    """Make the exporter of a protocol and a compression."""
    gzip = how["compression"] == "gzip"
    headers = {"authorization": f"Bearer {how['key']}"} if how["key"] else None
    if how["protocol"] == "grpc":
        compression = grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression
        return GrpcExporter(endpoint=how["endpoint"], insecure=True, headers=headers, compression=compression)
    url = f"http://{how['endpoint']}/v1/traces"
    compressed = Compression.Gzip if gzip else Compression.NoCompression
    return HttpExporter(endpoint=url, headers=headers, compression=compressed)


def send(tracer: Tracer, described: list[dict[str, Any]]) -> list[Span]:
    """Begin and end the spans of a trace."""
    spans: list[Span] = []
    for one in described:
        parent = set_span_in_context(spans[one["parent"]]) if one["parent"] >= 0 else None
        links = [Link(remote(link), attributes(link["attributes"])) for link in one["links"]]
        span = tracer.start_span(one["name"], parent, SpanKind[one["kind"]], None, links, int(one["start"]))
        span.set_attributes(attributes(one["attributes"]))
        for event in one["events"]:
            span.add_event(event["name"], attributes(event["attributes"]), int(event["at"]))
        span.set_status(Status(StatusCode[one["status"]], one.get("message")))
        span.end(int(one["end"]))
        spans.append(span)
    return spans


def attributes(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Read attributes as they are described."""
    return {one["key"]: read(one["type"], one["value"]) for one in entries}


def read(kind: str, value: Any) -> Any:
    """Read a value that JSON has no type for; the others are what they are."""
    match kind:
        case "int64":
            return int(value)
        case "bytes":
            return base64.b64decode(value)
        case "map":
            return attributes(value)
        case _:
            return value


def remote(link: dict[str, Any]) -> SpanContext:
    """Give what a link points to."""
    context = SpanContext(int(link["trace"], 16), int(link["span"], 16), is_remote=True)
    return NonRecordingSpan(context).get_span_context()


def ids(spans: list[Span]) -> list[str]:
    """Give a trace's id and those of its spans."""
    contexts = [span.get_span_context() for span in spans]
    return [f"{contexts[0].trace_id:032x}", *(f"{context.span_id:016x}" for context in contexts)]


main(json.loads(sys.argv[1]))
