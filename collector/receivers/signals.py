"""The three signals of OTLP: where each comes in, what it is made of, and what its items are called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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

from collector.item_keys import log_keys, trace_keys
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

NO_SPAN = bytes(8)
INVALID_IDS = "a span needs a trace id of 16 bytes and a span id of 8, not all zero"


class Checked(NamedTuple):
    """What a request holds: the key of each item in its order, None for one that can never be stored.

    `counted` is how many a refusal or an answer counts (spans, log records, metric points), without the `rejected`.
    """

    keys: Sequence[str | None]
    counted: int
    rejected: int = 0
    reason: str = ""


class Signal(NamedTuple):
    """One signal. `weigh` says how many one item counts, and what to call it."""

    name: str
    path: str
    service: str
    topic: str
    by_key: bool
    request: type[Message]
    response: type[Message]
    rejected_field: str
    check: Callable[[Any], Checked]
    weigh: Callable[[Any], tuple[int, str]]
    accepted: CollectorCounter
    refused: CollectorCounter


def check_spans(request: Any) -> Checked:
    """Key spans by trace id; those without proper ids are rejected. Ids are looked at together: spans are many."""
    spans = [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]
    keys, span_ids = trace_keys([span.trace_id for span in spans]), [span.span_id for span in spans]
    if NO_SPAN in span_ids or not set(map(len, span_ids)) <= {len(NO_SPAN)}:
        proper = [len(span_id) == len(NO_SPAN) and span_id != NO_SPAN for span_id in span_ids]
        keys = [key if is_proper else None for key, is_proper in zip(keys, proper, strict=True)]
    rejected = keys.count(None)
    return Checked(keys, len(keys) - rejected, rejected, INVALID_IDS if rejected else "")


def check_logs(request: Any) -> Checked:
    """Key log records by trace id, else by session; all of them can be stored."""
    keys = log_keys(request)
    return Checked(keys, len(keys))


def check_metrics(request: Any) -> Checked:
    """Key metrics by service; all of them can be stored."""
    keys: list[str] = []
    points = 0
    for resource in request.resource_metrics:
        metrics = [metric for scope in resource.scope_metrics for metric in scope.metrics]
        keys += [_service(resource.resource.attributes)] * len(metrics)
        points += sum(_points(metric) for metric in metrics)
    return Checked(keys, points)


def _service(attributes: Iterable[Any]) -> str:
    return next((str(one.value.string_value) for one in attributes if one.key == "service.name"), "")


def _points(metric: Any) -> int:
    kind = metric.WhichOneof("data")
    return len(getattr(metric, kind).data_points) if kind else 0


def _weigh_span(request: Any) -> tuple[int, str]:
    return 1, request.resource_spans[0].scope_spans[0].spans[0].span_id.hex()


def _weigh_log(_request: Any) -> tuple[int, str]:
    return 1, "a log record"


def _weigh_metric(request: Any) -> tuple[int, str]:
    metric = request.resource_metrics[0].scope_metrics[0].metrics[0]
    return _points(metric), metric.name[:64]


PREFIX = "opentelemetry.proto.collector"
TRACES = Signal(
    name="traces",
    path="/v1/traces",
    service=f"{PREFIX}.trace.v1.TraceService",
    topic=OTLP_SPANS,
    by_key=False,
    request=ExportTraceServiceRequest,
    response=ExportTraceServiceResponse,
    rejected_field="rejected_spans",
    check=check_spans,
    weigh=_weigh_span,
    accepted=ACCEPTED_SPANS,
    refused=REFUSED_SPANS,
)
LOGS = Signal(
    name="logs",
    path="/v1/logs",
    service=f"{PREFIX}.logs.v1.LogsService",
    topic=OTLP_LOGS,
    by_key=False,
    request=ExportLogsServiceRequest,
    response=ExportLogsServiceResponse,
    rejected_field="rejected_log_records",
    check=check_logs,
    weigh=_weigh_log,
    accepted=ACCEPTED_LOGS,
    refused=REFUSED_LOGS,
)
METRICS = Signal(
    name="metrics",
    path="/v1/metrics",
    service=f"{PREFIX}.metrics.v1.MetricsService",
    topic=OTLP_METRICS,
    by_key=True,
    request=ExportMetricsServiceRequest,
    response=ExportMetricsServiceResponse,
    rejected_field="rejected_data_points",
    check=check_metrics,
    weigh=_weigh_metric,
    accepted=ACCEPTED_POINTS,
    refused=REFUSED_POINTS,
)
SIGNALS = (TRACES, LOGS, METRICS)
