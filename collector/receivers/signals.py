"""The three signals of OTLP: where each comes in, what it is made of, and what is wrong with parts of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from schemas.metrics import (
    ACCEPTED_LOGS,
    ACCEPTED_POINTS,
    ACCEPTED_SPANS,
    REFUSED_LOGS,
    REFUSED_POINTS,
    REFUSED_SPANS,
    CollectorCounter,
)
from schemas.topics import OTLP_LOGS, OTLP_METRICS, OTLP_SPANS

NO_TRACE, NO_SPAN = bytes(16), bytes(8)


class Signal(NamedTuple):
    """One signal. `check` counts its items and removes those that can never be stored, saying why."""

    name: str
    path: str
    service: str
    topic: str
    request: type[Message]
    response: type[Message]
    rejected_field: str
    check: Callable[[Any], tuple[int, int, str]]
    accepted: CollectorCounter
    refused: CollectorCounter


def check_spans(request: Any) -> tuple[int, int, str]:
    """Count spans; those without proper ids are removed. Returns (accepted, rejected, reason)."""
    accepted = rejected = 0
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            spans = scope_spans.spans
            bad = [number for number, span in enumerate(spans) if not _has_ids(span)]
            for number in reversed(bad):
                del spans[number]
            accepted, rejected = accepted + len(spans), rejected + len(bad)
    return (
        accepted,
        rejected,
        "a span needs a trace id of 16 bytes and a span id of 8, not all zero" if rejected else "",
    )


def _has_ids(span: Any) -> bool:
    trace_id, span_id = span.trace_id, span.span_id
    return len(trace_id) == 16 and len(span_id) == 8 and trace_id != NO_TRACE and span_id != NO_SPAN


def check_logs(request: Any) -> tuple[int, int, str]:
    """Count log records; all of them can be stored."""
    return sum(len(scope.log_records) for rl in request.resource_logs for scope in rl.scope_logs), 0, ""


def check_metrics(request: Any) -> tuple[int, int, str]:
    """Count metric points; all of them can be stored."""
    return (
        sum(_points(m) for rm in request.resource_metrics for scope in rm.scope_metrics for m in scope.metrics),
        0,
        "",
    )


def _points(metric: Any) -> int:
    kind = metric.WhichOneof("data")
    return len(getattr(metric, kind).data_points) if kind else 0


PREFIX = "opentelemetry.proto.collector"
TRACES = Signal(
    "traces",
    "/v1/traces",
    f"{PREFIX}.trace.v1.TraceService",
    OTLP_SPANS,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
    "rejected_spans",
    check_spans,
    ACCEPTED_SPANS,
    REFUSED_SPANS,
)
LOGS = Signal(
    "logs",
    "/v1/logs",
    f"{PREFIX}.logs.v1.LogsService",
    OTLP_LOGS,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
    "rejected_log_records",
    check_logs,
    ACCEPTED_LOGS,
    REFUSED_LOGS,
)
METRICS = Signal(
    "metrics",
    "/v1/metrics",
    f"{PREFIX}.metrics.v1.MetricsService",
    OTLP_METRICS,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
    "rejected_data_points",
    check_metrics,
    ACCEPTED_POINTS,
    REFUSED_POINTS,
)
SIGNALS = (TRACES, LOGS, METRICS)
