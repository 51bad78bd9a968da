"""Builds OTLP requests by hand, for stacks that nobody recorded: one span or log record each, in one trace."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from normaliser_drive import NOW_NS, NormaliserDrive
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from schemas.step import LLM, TOOL, Step
from schemas.topics import OTLP_LOGS, OTLP_SPANS

TRACE = b"\x7a" * 16
SECOND = 1_000_000_000

Request = tuple[str, bytes]


def value(plain: Any) -> AnyValue:
    """Write a plain value as OTLP does."""
    if isinstance(plain, bool):
        return AnyValue(bool_value=plain)
    if isinstance(plain, int):
        return AnyValue(int_value=plain)
    if isinstance(plain, float):
        return AnyValue(double_value=plain)
    if isinstance(plain, list):
        found = AnyValue()
        found.array_value.values.extend(value(item) for item in plain)
        return found
    if isinstance(plain, dict):
        found = AnyValue()
        found.kvlist_value.values.extend(KeyValue(key=key, value=value(item)) for key, item in plain.items())
        return found
    return AnyValue(string_value=str(plain))


def pairs(attributes: Mapping[str, Any]) -> list[KeyValue]:
    """Write attributes as OTLP does."""
    return [KeyValue(key=key, value=value(item)) for key, item in attributes.items()]


def span(
    number: int,
    name: str,
    attributes: Mapping[str, Any],
    *,
    scope: str = "by-hand",
    parent: int = 0,
    events: Sequence[tuple[str, Mapping[str, Any]]] = (),
    trace: bytes = TRACE,
    links: Sequence[bytes] = (),
) -> Request:
    """Write a request with one span; its number is its place in time, 0 as parent makes it a root."""
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.extend(pairs({"service.name": "by-hand"}))
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = scope
    made = scope_spans.spans.add(
        trace_id=trace,
        span_id=number.to_bytes(8, "big"),
        parent_span_id=parent.to_bytes(8, "big") if parent else b"",
        name=name,
        start_time_unix_nano=NOW_NS + number * SECOND,
        end_time_unix_nano=NOW_NS + (number + 1) * SECOND,
    )
    made.attributes.extend(pairs(attributes))
    for event, fields in events:
        made.events.add(name=event).attributes.extend(pairs(fields))
    for link in links:
        made.links.add(trace_id=link, span_id=b"\x01" * 8)
    return OTLP_SPANS, request.SerializeToString()


def log(number: int, name: str, attributes: Mapping[str, Any], body: Any = None, at: int = 0) -> Request:
    """Write a request with one log record about the span of that number."""
    request = ExportLogsServiceRequest()
    record = (
        request.resource_logs.add()
        .scope_logs.add()
        .log_records.add(trace_id=TRACE, span_id=number.to_bytes(8, "big"), event_name=name, time_unix_nano=NOW_NS + at)
    )
    record.attributes.extend(pairs(attributes))
    if body is not None:
        record.body.CopyFrom(value(body))
    return OTLP_LOGS, request.SerializeToString()


def steps_of(*requests: Request) -> list[Step]:
    """Give the steps that stand after these requests; forwards and backwards must agree."""
    forwards, backwards = NormaliserDrive(), NormaliserDrive()
    for request in requests:
        forwards.send(request)
    for request in reversed(requests):
        backwards.send(request)
    assert list(map(_content, forwards.steps())) == list(map(_content, backwards.steps()))
    return forwards.steps()


def _content(step: Step) -> dict[str, Any]:
    return {name: getattr(step, name) for name in step.__struct_fields__ if name != "revision"}


def calls(steps: Sequence[Step]) -> tuple[int, int]:
    """Count model and tool calls."""
    return sum(step.kind == LLM for step in steps), sum(step.kind == TOOL for step in steps)


def tools(steps: Sequence[Step]) -> set[tuple[str, str]]:
    """Give the different tool calls: name and hash of the arguments."""
    return {(step.tool, step.args_hash) for step in steps if step.kind == TOOL}


def tokens(steps: Sequence[Step]) -> int:
    """Sum input tokens."""
    return sum(step.usage.input for step in steps if step.usage)


def text(plain: Any) -> str:
    """Write JSON."""
    return json.dumps(plain)
