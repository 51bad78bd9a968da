"""The ClickHouse sink: everything on the bus that is kept, into its tables, each record once.

A batch is fixed before it comes here and comes again unchanged after a crash (`collector/deliveries.py`); tables of
plain rows remember its token, the others keep one row per key anyway. Inserts are grouped by day, because one insert
may touch only so many partitions; what is dated outside what is kept goes to the dead letters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import orjson
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.bus.dead_letters import dead_letter
from collector.bus.protocol import Batch, Handled, Outgoing, Record, State
from collector.bus.repeats import Repeats
from schemas import topics
from schemas.keys import DEFAULT_TENANT
from schemas.metrics import ROWS_INSERTED, SENT_LOGS, SENT_SPANS, SPANS_OUT_OF_RANGE
from schemas.steps_codec import UnknownStepSchema, decode_steps
from schemas.usage import UnknownUsageSchema, decode_usage
from sinks import event_rows, record_rows, span_rows
from sinks.columns import DAY_NS, Columns
from sinks.store import Store

RETENTION_DAYS = 90
EXPORTER = "clickhouse"
REPEATABLE = (topics.OTLP_SPANS, topics.OTLP_LOGS, topics.OTLP_METRICS)
TOPICS = (
    *REPEATABLE,
    topics.AGENT_STEPS,
    topics.DETECTIONS,
    topics.USAGE,
    topics.HEALING_OUTCOMES,
    topics.APPROVALS,
    topics.POLICIES,
    topics.DEAD_LETTERS,
)
UNREADABLE = (
    DecodeError,
    msgspec.DecodeError,
    orjson.JSONDecodeError,
    UnknownStepSchema,
    UnknownUsageSchema,
    KeyError,
    TypeError,
    ValueError,
)
"""What reading a record that is not ours may raise."""


class ClickHouseSink:
    """A delivery into a store; owned by one thread."""

    group = "sinks/clickhouse"
    topics: Sequence[str] = TOPICS

    def __init__(
        self,
        open_store: Callable[[], Store],
        max_rows: int = 20_000,
        flush_seconds: float = 0.2,
        repeat_window_seconds: float = 600,
    ) -> None:
        self.max_records = max_rows
        self.flush_seconds = flush_seconds
        self._open_store = open_store
        self._store: Store | None = None
        self._repeats = Repeats(self.group, repeat_window_seconds)

    def restore(self, state: State) -> None:
        """Start from the committed state, on a connection of its own."""
        self._repeats.restore(state)
        if self._store is None:
            self._store = self._open_store()
            self._store.migrate()

    def deliver(self, batch: Batch, token: str) -> Handled:
        """Insert a batch under its token; raises StoreError, which means later."""
        fresh, changes = self._repeats.fresh([r for r in batch.records if r.topic in REPEATABLE], batch.now_ns)
        rows = _Rows()
        for record in fresh:
            rows.add(record)
        for record in batch.records:
            if record.topic not in REPEATABLE:
                rows.add(record)
        self._insert(rows.tables.values(), token)
        return Handled(rows.dead, changes)

    def close(self) -> None:
        """Let go of the store; `restore` opens it again."""
        store, self._store = self._store, None
        if store is not None:
            store.close()

    def _insert(self, tables: Iterable[Columns], token: str) -> None:
        if self._store is None:
            raise RuntimeError("deliver was called before restore")
        for table in tables:
            for day, columns in table.by_day():
                self._store.insert(table.table, table.names, columns, f"{token}|{table.table}|{day}")
            ROWS_INSERTED.labels(table=table.table).inc(table.rows)
            if table.table == "otel_traces":
                SENT_SPANS.labels(exporter=EXPORTER).inc(table.rows)
            elif table.table == "otel_logs":
                SENT_LOGS.labels(exporter=EXPORTER).inc(table.rows)


class _Rows:
    """The rows of one batch, by table, and the records that gave none."""

    def __init__(self) -> None:
        self.tables: dict[str, Columns] = {}
        self.dead: list[Outgoing] = []
        self._writers: dict[str, Callable[[Record], None]] = {
            topics.OTLP_SPANS: self._spans,
            topics.OTLP_LOGS: self._logs,
            topics.OTLP_METRICS: self._metrics,
            topics.AGENT_STEPS: self._steps,
            topics.DETECTIONS: self._detection,
            topics.USAGE: self._usage,
            topics.HEALING_OUTCOMES: lambda record: self._event("healing", record),
            topics.APPROVALS: lambda record: self._event("approvals", record),
            topics.POLICIES: self._policy,
            topics.DEAD_LETTERS: self._dead_letter,
        }

    def add(self, record: Record) -> None:
        """Turn a record into rows; one that cannot be read goes to the dead letters."""
        try:
            self._writers[record.topic](record)
        except UNREADABLE as error:
            if record.topic != topics.DEAD_LETTERS:  # a dead letter that cannot be read must not beget another
                self.dead.append(dead_letter(record, error, ClickHouseSink.group))

    def _table(self, table: str, names: Sequence[str]) -> Columns:
        if table not in self.tables:
            self.tables[table] = Columns(table, tuple(names))
        return self.tables[table]

    def _spans(self, record: Record) -> None:
        request = ExportTraceServiceRequest.FromString(record.value)
        table = self._table("otel_traces", span_rows.SPAN_COLUMNS)
        outside = ExportTraceServiceRequest()
        for at, row, span, resource, scope in span_rows.span_rows(request, _tenant(record)):
            if _is_kept(at, record.append_ns):
                table.add(at, row)
            else:
                _put_aside(outside, span, resource, scope)
        if outside.resource_spans:
            value = outside.SerializeToString()
            error = ValueError(f"spans dated outside the last {RETENTION_DAYS} days and the next 24 hours")
            self.dead.append(dead_letter(record._replace(value=value), error, ClickHouseSink.group))

    def _logs(self, record: Record) -> None:
        request = ExportLogsServiceRequest.FromString(record.value)
        table = self._table("otel_logs", span_rows.LOG_COLUMNS)
        for at, row in span_rows.log_rows(request, _tenant(record)):
            if _is_kept(at, record.append_ns):
                table.add(at, row)

    def _metrics(self, record: Record) -> None:
        request = ExportMetricsServiceRequest.FromString(record.value)
        table = self._table("otel_metrics", span_rows.POINT_COLUMNS)
        for at, row in span_rows.point_rows(request, _tenant(record)):
            if _is_kept(at, record.append_ns):
                table.add(at, row)

    def _steps(self, record: Record) -> None:
        table = self._table("agent_steps", tuple(record_rows.STEP_COLUMNS))
        for step in decode_steps(record.value):
            if _is_kept(step.start_ns, record.append_ns):
                table.add(step.start_ns, record_rows.step_row(step))

    def _detection(self, record: Record) -> None:
        table = self._table("detections", (*record_rows.DETECTION_COLUMNS, "Json"))
        at, row = record_rows.detection_row(record.value)
        table.add(at, row)

    def _usage(self, record: Record) -> None:
        used = decode_usage(record.value)
        if _is_kept(used.at_ns, record.append_ns):
            self._table("cost_metrics_rows", tuple(record_rows.USAGE_COLUMNS)).add(
                used.at_ns, record_rows.usage_row(used)
            )

    def _event(self, table: str, record: Record) -> None:
        at, row = event_rows.event_row(record)
        self._table(table, event_rows.EVENT_COLUMNS).add(at, row)

    def _policy(self, record: Record) -> None:
        at, row = event_rows.policy_row(record)
        self._table("policies", event_rows.POLICY_COLUMNS).add(at, row)

    def _dead_letter(self, record: Record) -> None:
        at, row = record_rows.dead_letter_row(record)
        self._table("dead_letters", record_rows.DEAD_LETTER_COLUMNS).add(at, row)


def _tenant(record: Record) -> str:
    return record.headers.get(topics.TENANT_HEADER, DEFAULT_TENANT.encode()).decode("utf-8", "replace")


def _is_kept(at_ns: int, now_ns: int) -> bool:
    """Say whether a time lies in what is kept, seen from when the record was appended, so that a repeat agrees."""
    if now_ns - RETENTION_DAYS * DAY_NS <= at_ns <= now_ns + DAY_NS:
        return True
    SPANS_OUT_OF_RANGE.labels(reason="past" if at_ns < now_ns else "future").inc()
    return False


def _put_aside(request: Any, span: Any, resource: Any, scope: Any) -> None:
    held = request.resource_spans.add(resource=resource.resource, schema_url=resource.schema_url)
    held.scope_spans.add(scope=scope.scope, schema_url=scope.schema_url).spans.add().CopyFrom(span)
