"""What a batch of records becomes: rows by table, and dead letters for what cannot be kept.

The same records give the same rows at any time, since a batch that is delivered again goes under the same token:
ages are taken from when a record was appended, never from a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from google.protobuf.message import DecodeError, Message
from msgspec.structs import astuple
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.bus.dead_letters import dead_letter
from collector.bus.protocol import Outgoing, Record
from schemas import topics
from schemas.keys import DEFAULT_TENANT
from schemas.metrics import SPANS_OUT_OF_RANGE
from schemas.steps_codec import decode_steps
from schemas.usage import decode_usage
from sinks import event_rows, otlp_rows, people_rows, record_rows, step_rows, summary_rows
from sinks.columns import DAY_NS, Columns, Row
from sinks.table_layout import RETENTION_DAYS

UNREADABLE = (DecodeError, msgspec.DecodeError, ValueError, RecursionError)
"""What reading a record that is not ours may raise."""


class DatedOutside(ValueError):  # noqa: N818  # named by what operators look for
    """Spans, log records or points lie outside of what is kept."""

    def __init__(self, days: int) -> None:
        super().__init__(f"dated outside the last {days} days and the next 24 hours")


class BatchRows:
    """The rows of one batch, by table, and its dead letters. `days`: how long the tables keep rows."""

    def __init__(self, group: str, days: int = RETENTION_DAYS) -> None:
        self._days = days
        self.tables: dict[str, Columns] = {}
        self.dead: list[Outgoing] = []
        self._group = group

    def add(self, record: Record) -> None:
        """Turn a record into rows; one that cannot be read goes to the dead letters."""
        try:
            _WRITERS[record.topic](self, record)
        except UNREADABLE as error:
            self.dead.append(dead_letter(record, error, self._group))

    def _put(self, table: str, names: Sequence[str], at_ns: int, row: Row) -> None:
        columns = self.tables.get(table)
        if columns is None:
            columns = self.tables[table] = Columns(table, names)
        columns.add(at_ns, row)

    # --- OTLP: what is dated outside of what is kept is put aside ---

    def _spans(self, record: Record) -> None:
        request = ExportTraceServiceRequest.FromString(record.value)
        outside = ExportTraceServiceRequest()
        for at, row, span, resource, scope in otlp_rows.span_rows(request, _tenant(record)):
            if self._is_kept(at, record.append_ns):
                self._put("otel_traces", otlp_rows.SPAN_COLUMNS, at, row)
            else:
                _count_outside(at, record.append_ns)
                held = outside.resource_spans.add(resource=resource.resource, schema_url=resource.schema_url)
                held.scope_spans.add(scope=scope.scope, schema_url=scope.schema_url).spans.append(span)
        self._put_aside(record, outside, bool(outside.resource_spans))

    def _logs(self, record: Record) -> None:
        request = ExportLogsServiceRequest.FromString(record.value)
        outside = ExportLogsServiceRequest()
        for at, row, log, resource, scope in otlp_rows.log_rows(request, _tenant(record), record.append_ns):
            if self._is_kept(at, record.append_ns):
                self._put("otel_logs", otlp_rows.LOG_COLUMNS, at, row)
            else:
                held = outside.resource_logs.add(resource=resource.resource, schema_url=resource.schema_url)
                held.scope_logs.add(scope=scope.scope, schema_url=scope.schema_url).log_records.append(log)
        self._put_aside(record, outside, bool(outside.resource_logs))

    def _points(self, record: Record) -> None:
        request = ExportMetricsServiceRequest.FromString(record.value)
        kept = True
        for at, row in otlp_rows.point_rows(request, _tenant(record)):
            if self._is_kept(at, record.append_ns):
                self._put("otel_metrics", otlp_rows.POINT_COLUMNS, at, row)
            else:
                kept = False
        self._put_aside(record, request, not kept)

    def _put_aside(self, record: Record, request: Message, needed: bool) -> None:
        if needed:
            aside = record._replace(value=request.SerializeToString())
            self.dead.append(dead_letter(aside, DatedOutside(self._days), self._group))

    # --- our own records; what is dated outside came from a span that is among the dead letters already ---

    def _steps(self, record: Record) -> None:
        steps = self.tables.get("agent_steps") or Columns("agent_steps", step_rows.STEP_COLUMNS, step_rows.step_columns)
        for step in decode_steps(record.value):
            if self._is_kept(step.start_ns, record.append_ns):
                steps.add(step.start_ns, astuple(step))
                self.tables["agent_steps"] = steps

    def _usage(self, record: Record) -> None:
        used = decode_usage(record.value)
        if self._is_kept(used.at_ns, record.append_ns):
            names = tuple(record_rows.USAGE_COLUMNS)
            self._put("cost_metrics_rows", names, used.at_ns, record_rows.usage_row(used))

    def _detection(self, record: Record) -> None:
        names = (*record_rows.DETECTION_COLUMNS, "Json")
        self._put("detections", names, *record_rows.detection_row(record.value))

    def _summary(self, record: Record) -> None:
        began_ns, row = summary_rows.summary_row(record.value)
        if self._is_kept(began_ns, record.append_ns):
            self._put("run_summaries", summary_rows.SUMMARY_COLUMNS, began_ns, row)

    def _outcome(self, record: Record) -> None:
        self._put("healing", event_rows.EVENT_COLUMNS, *event_rows.outcome_row(record))

    def _approval(self, record: Record) -> None:
        self._put("approvals", event_rows.EVENT_COLUMNS, *event_rows.approval_row(record))

    def _policy(self, record: Record) -> None:
        self._put("policies", event_rows.POLICY_COLUMNS, *event_rows.policy_row(record))

    def _feedback(self, record: Record) -> None:
        self._put("feedback", people_rows.FEEDBACK_COLUMNS, *people_rows.feedback_row(record))

    def _threshold(self, record: Record) -> None:
        self._put("thresholds", people_rows.THRESHOLD_COLUMNS, *people_rows.threshold_row(record))

    def _dead_letter(self, record: Record) -> None:
        self._put("dead_letters", record_rows.DEAD_LETTER_COLUMNS, *record_rows.dead_letter_row(record))

    def _is_kept(self, at_ns: int, appended_ns: int) -> bool:
        return appended_ns - self._days * DAY_NS <= at_ns <= appended_ns + DAY_NS


_WRITERS: dict[str, Callable[[BatchRows, Record], None]] = {
    topics.OTLP_SPANS: BatchRows._spans,
    topics.OTLP_LOGS: BatchRows._logs,
    topics.OTLP_METRICS: BatchRows._points,
    topics.AGENT_STEPS: BatchRows._steps,
    topics.DETECTIONS: BatchRows._detection,
    topics.RUN_SUMMARIES: BatchRows._summary,
    topics.USAGE: BatchRows._usage,
    topics.HEALING_OUTCOMES: BatchRows._outcome,
    topics.APPROVALS: BatchRows._approval,
    topics.POLICIES: BatchRows._policy,
    topics.FEEDBACK: BatchRows._feedback,
    topics.THRESHOLDS: BatchRows._threshold,
    topics.DEAD_LETTERS: BatchRows._dead_letter,
}
"""Not of each batch: bound methods would hold it in a circle, with all its rows until the garbage collector comes."""


def _tenant(record: Record) -> str:
    return record.headers.get(topics.TENANT_HEADER, DEFAULT_TENANT.encode()).decode("utf-8", "replace")


def _count_outside(at_ns: int, appended_ns: int) -> None:
    SPANS_OUT_OF_RANGE.labels(reason="past" if at_ns < appended_ns else "future").inc()
