"""The trace that every client sends, `trace.json`, as OTLP has to hold it when it has arrived."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

DESCRIPTION = Path(__file__).with_name("trace.json")
SPANS: list[dict[str, Any]] = json.loads(DESCRIPTION.read_text("utf-8"))["spans"]
RESOURCE: list[dict[str, Any]] = json.loads(DESCRIPTION.read_text("utf-8"))["resource"]
SCOPE: dict[str, str] = json.loads(DESCRIPTION.read_text("utf-8"))["scope"]
SINGLE = {
    "string": "string_value",
    "bool": "bool_value",
    "int": "int_value",
    "int64": "int_value",
    "double": "double_value",
}
LISTS = {"strings": "string_value", "bools": "bool_value", "ints": "int_value", "doubles": "double_value"}

Attributes = dict[str, bytes]
"""Values as their bytes in OTLP, so that 1, 1.0 and true are three different things."""


def expected(ids: Sequence[str], lacks: frozenset[str] = frozenset()) -> list[dict[str, Any]]:
    """Give the spans of one trace; `ids` are that of the trace and those of its spans."""
    trace, *spans = ids
    return [_expected_span(one, trace, spans, number, lacks) for number, one in enumerate(SPANS)]


def _expected_span(
    one: dict[str, Any], trace: str, spans: Sequence[str], number: int, lacks: frozenset[str]
) -> dict[str, Any]:
    return {
        "trace": trace,
        "span": spans[number],
        "parent": spans[one["parent"]] if one["parent"] >= 0 else "",
        "name": one["name"],
        "kind": f"SPAN_KIND_{one['kind']}",
        "times": (int(one["start"]), int(one["end"])),
        "status": (f"STATUS_CODE_{one['status']}", one.get("message", "")),
        "attributes": described(one["attributes"], lacks),
        "events": [(event["name"], int(event["at"]), described(event["attributes"])) for event in one["events"]],
        "links": [(link["trace"], link["span"], described(link["attributes"])) for link in one["links"]],
        "scope": (SCOPE["name"], SCOPE["version"]),
    }


def described(entries: Iterable[dict[str, Any]], lacks: frozenset[str] = frozenset()) -> Attributes:
    """Read attributes as `trace.json` describes them, without those of types that a language lacks."""
    return {
        one["key"]: _value(one["type"], one["value"]).SerializeToString(deterministic=True)
        for one in entries
        if one["type"] not in lacks
    }


def _value(kind: str, value: Any) -> AnyValue:
    made = AnyValue()
    if kind in SINGLE:
        setattr(made, SINGLE[kind], int(value) if kind == "int64" else value)
    elif kind == "bytes":
        made.bytes_value = base64.b64decode(value)
    elif kind == "map":
        entries = sorted(value, key=lambda one: str(one["key"]))
        made.kvlist_value.values.extend(
            KeyValue(key=one["key"], value=_value(one["type"], one["value"])) for one in entries
        )
    else:
        made.array_value.values.extend(AnyValue(**{LISTS[kind]: item}) for item in value)
        made.array_value.SetInParent()
    return made


def arrived(values: Iterable[bytes]) -> list[tuple[dict[str, Any], Attributes]]:
    """Read what is on the bus: each span, and the attributes of its resource."""
    return [
        (_span(span, scope.scope), _attributes(resource.resource.attributes))
        for value in values
        for resource in ExportTraceServiceRequest.FromString(value).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _span(span: Any, scope: Any) -> dict[str, Any]:
    return {
        "trace": span.trace_id.hex(),
        "span": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "name": span.name,
        "kind": OtlpSpan.SpanKind.Name(span.kind),
        "times": (span.start_time_unix_nano, span.end_time_unix_nano),
        "status": (Status.StatusCode.Name(span.status.code), span.status.message),
        "attributes": _attributes(span.attributes),
        "events": [(event.name, event.time_unix_nano, _attributes(event.attributes)) for event in span.events],
        "links": [(link.trace_id.hex(), link.span_id.hex(), _attributes(link.attributes)) for link in span.links],
        "scope": (scope.name, scope.version),
    }


def _attributes(pairs: Iterable[Any]) -> Attributes:
    found = list(pairs)
    for pair in found:
        pair.value.kvlist_value.values.sort(key=lambda one: str(one.key)) if pair.value.HasField(
            "kvlist_value"
        ) else None
    attributes = {pair.key: pair.value.SerializeToString(deterministic=True) for pair in found}
    assert len(attributes) == len(found), "a key stands there twice"
    return attributes
