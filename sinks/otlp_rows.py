"""OTLP spans, log records and metric points as rows of the OpenTelemetry exporter's tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from sinks.attributes import as_map, as_text, service_of

TENANT_ATTRIBUTE = "tracemend.tenant"
SPAN_KINDS = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
STATUS_CODES = ("Unset", "Ok", "Error")
LARGEST_NS = 2**63 - 1
NO_EVENTS: tuple[list[Any], ...] = ([], [], [])
NO_LINKS: tuple[list[Any], ...] = ([], [], [], [])

SPAN_COLUMNS = (
    "Timestamp",
    "TraceId",
    "SpanId",
    "ParentSpanId",
    "TraceState",
    "SpanName",
    "SpanKind",
    "ServiceName",
    "ResourceAttributes",
    "ScopeName",
    "ScopeVersion",
    "SpanAttributes",
    "Duration",
    "StatusCode",
    "StatusMessage",
    "Events.Timestamp",
    "Events.Name",
    "Events.Attributes",
    "Links.TraceId",
    "Links.SpanId",
    "Links.TraceState",
    "Links.Attributes",
)
LOG_COLUMNS = (
    "Timestamp",
    "TraceId",
    "SpanId",
    "TraceFlags",
    "SeverityText",
    "SeverityNumber",
    "ServiceName",
    "Body",
    "ResourceSchemaUrl",
    "ResourceAttributes",
    "ScopeSchemaUrl",
    "ScopeName",
    "ScopeVersion",
    "ScopeAttributes",
    "LogAttributes",
    "EventName",
)
POINT_COLUMNS = (
    "Timestamp",
    "StartTimestamp",
    "ServiceName",
    "ResourceAttributes",
    "ScopeName",
    "MetricName",
    "MetricUnit",
    "Kind",
    "Attributes",
    "Value",
    "Count",
)

Row = tuple[int, tuple[Any, ...]]
"""When it happened (Unix ns), and its values in the order of the columns."""


class OtlpRow(NamedTuple):
    """When it happened (Unix ns), its values in the order of the columns, and it with what it came under."""

    at_ns: int
    values: tuple[Any, ...]
    message: Any
    resource: Any
    scope: Any


def span_rows(request: Any, tenant: str) -> Iterator[OtlpRow]:
    """Give the row of every span."""
    for resource_spans in request.resource_spans:
        resource = as_map(resource_spans.resource.attributes)
        resource[TENANT_ATTRIBUTE] = tenant
        service = service_of(resource)
        for scope_spans in resource_spans.scope_spans:
            scope = (scope_spans.scope.name, scope_spans.scope.version)
            for span in scope_spans.spans:
                row = _span_row(span, resource, service, scope)
                yield OtlpRow(span.start_time_unix_nano, row, span, resource_spans, scope_spans)


def _span_row(span: Any, resource: dict[str, str], service: str, scope: tuple[str, str]) -> tuple[Any, ...]:
    start, kind, status = span.start_time_unix_nano, span.kind, span.status
    code, parent, events, links = status.code, span.parent_span_id, span.events, span.links
    return (
        start,
        span.trace_id.hex(),
        span.span_id.hex(),
        parent.hex() if parent.strip(b"\0") else "",
        span.trace_state,
        span.name,
        SPAN_KINDS[kind] if 0 <= kind < len(SPAN_KINDS) else SPAN_KINDS[0],
        service,
        resource,
        *scope,
        as_map(span.attributes),
        max(0, span.end_time_unix_nano - start),
        STATUS_CODES[code] if 0 <= code < len(STATUS_CODES) else STATUS_CODES[0],
        status.message,
        *(_events(events) if events else NO_EVENTS),
        *(_links(links) if links else NO_LINKS),
    )


def _events(events: Any) -> tuple[list[Any], ...]:
    return (
        [min(event.time_unix_nano, LARGEST_NS) for event in events],
        [event.name for event in events],
        [as_map(event.attributes) for event in events],
    )


def _links(links: Any) -> tuple[list[Any], ...]:
    return (
        [link.trace_id.hex() for link in links],
        [link.span_id.hex() for link in links],
        [link.trace_state for link in links],
        [as_map(link.attributes) for link in links],
    )


def log_rows(request: Any, tenant: str, appended_ns: int) -> Iterator[OtlpRow]:
    """Give the row of every log record; one that names no time is dated when it came."""
    for resource_logs in request.resource_logs:
        resource = as_map(resource_logs.resource.attributes)
        resource[TENANT_ATTRIBUTE] = tenant
        for scope_logs in resource_logs.scope_logs:
            scope = _log_scope(resource_logs, resource, scope_logs)
            for record in scope_logs.log_records:
                at = record.time_unix_nano or record.observed_time_unix_nano or appended_ns
                row = _log_row(record, at, service_of(resource), scope)
                yield OtlpRow(at, row, record, resource_logs, scope_logs)


def _log_scope(resource_logs: Any, resource: dict[str, str], scope_logs: Any) -> tuple[Any, ...]:
    scope = scope_logs.scope
    attributes = as_map(scope.attributes)
    return resource_logs.schema_url, resource, scope_logs.schema_url, scope.name, scope.version, attributes


def _log_row(record: Any, at: int, service: str, scope: tuple[Any, ...]) -> tuple[Any, ...]:
    return (
        at,
        record.trace_id.hex(),
        record.span_id.hex(),
        record.flags & 0xFF,
        record.severity_text,
        min(255, max(0, record.severity_number)),
        service,
        as_text(record.body),
        *scope,
        as_map(record.attributes),
        record.event_name,
    )


def point_rows(request: Any, tenant: str) -> Iterator[Row]:
    """Give the row of every metric point: its value, or its sum and count."""
    for resource_metrics in request.resource_metrics:
        resource = as_map(resource_metrics.resource.attributes)
        resource[TENANT_ATTRIBUTE] = tenant
        for scope_metrics in resource_metrics.scope_metrics:
            for metric in scope_metrics.metrics:
                kind = metric.WhichOneof("data")
                for point in getattr(metric, kind).data_points if kind else ():
                    yield _point_row(metric, kind, point, resource, scope_metrics.scope.name)


def _point_row(metric: Any, kind: str, point: Any, resource: dict[str, str], scope: str) -> Row:
    at = point.time_unix_nano
    value, count = _value(kind, point)
    labels = as_map(point.attributes)
    start = min(point.start_time_unix_nano, LARGEST_NS)
    return at, (at, start, service_of(resource), resource, scope, metric.name, metric.unit, kind, labels, value, count)


def _value(kind: str, point: Any) -> tuple[float, int]:
    if kind in ("gauge", "sum"):
        held = point.WhichOneof("value")
        return (float(getattr(point, held)) if held else 0.0), 1
    return float(point.sum), int(point.count)
