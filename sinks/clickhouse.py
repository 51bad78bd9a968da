"""The ClickHouse sink: everything on the bus that is kept, into its tables, each record once.

A batch is fixed before it comes here and comes again unchanged after a crash (`collector/deliveries.py`). Tables of
plain rows remember its token, so that an insert which is still under way on a server does not come on top, and what
they then do not hold is inserted. A part of a batch that was cut has another token than the rows that may be there of
it, so of a part only what is missing is inserted. The other tables keep one row per key anyway. Inserts are grouped
by day, because one insert may touch only so many partitions; what is dated outside what is kept goes to the dead
letters.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Protocol

from collector.bus.protocol import Batch, Handled, Record, State, is_part
from collector.bus.repeats import Repeats
from collector.misrouted import in_one_partition, is_misrouted
from schemas import topics
from schemas.metrics import ROWS_INSERTED, SEND_FAILED_SPANS, SENT_LOGS, SENT_SPANS, STORE_BROKEN_PARTS
from sinks.batch_rows import BatchRows
from sinks.circuit import Circuit
from sinks.columns import Columns
from sinks.store import Store, StoreError
from sinks.table_layout import RETENTION_DAYS

EXPORTER = "clickhouse"
SPANS, LOGS = "otel_traces", "otel_logs"
PLAIN = (SPANS, LOGS, "otel_metrics")
"""Tables that keep every row they are given."""
REPEATABLE = (topics.OTLP_SPANS, topics.OTLP_LOGS, topics.OTLP_METRICS)
"""What clients send, and send again where an answer got lost."""
TOPICS = (
    *REPEATABLE,
    topics.AGENT_STEPS,
    topics.DETECTIONS,
    topics.RUN_SUMMARIES,
    topics.USAGE,
    topics.HEALING_OUTCOMES,
    topics.APPROVALS,
    topics.POLICIES,
    topics.FEEDBACK,
    topics.THRESHOLDS,
    topics.DEAD_LETTERS,
)


class Watch(Protocol):
    """What looks after the store beside the sink. `note`: what is or was damaged, and what to do; else empty."""

    note: str

    def start(self) -> None:
        """Begin, once the store is migrated."""

    def stop(self) -> None:
        """End."""


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
        kept_days: int = RETENTION_DAYS,
        partitions: Callable[[str], int] = in_one_partition,
        watch: Watch | None = None,
    ) -> None:
        self._kept_days = kept_days
        self.max_records = max_rows
        self.flush_seconds = flush_seconds
        self._open_store = open_store
        self._store: Store | None = None
        self._repeats = Repeats(self.group, repeat_window_seconds)
        self._circuit = Circuit(self.group)
        self._partitions = partitions
        self._watch = watch

    @property
    def degraded(self) -> str:
        """Say what is or was damaged of the store while it goes on; empty where nothing is."""
        return self._watch.note if self._watch is not None else ""

    def restore(self, state: State) -> None:
        """Start from the committed state, on a connection of its own; raises StoreAway for a server that is."""
        self._repeats.restore(state)
        if self._store is None:
            self._circuit.run(self._connect)

    def deliver(self, batch: Batch, token: str, again: bool) -> Handled:
        """Insert a batch under its token, or what of it is not there yet; raises StoreError."""
        store = self._store
        if store is None:
            raise RuntimeError("deliver was called before restore")
        return self._circuit.run(lambda: self._write(store, batch, token, again), store.ping)

    def _comes_again(self, record: Record) -> bool:
        """Say whether the normaliser publishes a record once more, because it stands where it does not belong."""
        return is_misrouted(record, self._partitions(record.topic))

    def close(self) -> None:
        """Let go of the store; `restore` opens it again."""
        if self._watch is not None:
            self._watch.stop()
        store, self._store = self._store, None
        if store is not None:
            store.close()

    def _connect(self) -> None:
        store = self._open_store()
        try:
            store.migrate()
            _tell_broken(store.broken_parts())
        except StoreError:
            store.close()
            raise
        self._store = store
        if self._watch is not None:
            self._watch.start()

    def _write(self, store: Store, batch: Batch, token: str, again: bool) -> Handled:
        sent = [record for record in batch.records if record.topic in REPEATABLE and not self._comes_again(record)]
        fresh, changes = self._repeats.fresh(sent, batch.now_ns)
        rows = BatchRows(self.group, self._kept_days)
        for record in (*fresh, *(record for record in batch.records if record.topic not in REPEATABLE)):
            rows.add(record)
        for table in rows.tables.values():
            _insert(store, table, token, again)
        return Handled(rows.dead, changes)


def _insert(store: Store, table: Columns, token: str, again: bool) -> None:
    plain, part = table.table in PLAIN, is_part(token)
    try:
        for day, columns in table.by_day():
            under = f"{token}|{table.table}|{day}"
            if not (plain and part):
                store.insert(table.table, table.names, columns, under)
            if again and plain:
                store.insert_missing(table.table, table.names, columns, under if part else "")
    except StoreError:
        if table.table == SPANS:
            SEND_FAILED_SPANS.labels(exporter=EXPORTER).inc(table.rows)
        raise
    _count(table)


def _count(table: Columns) -> None:
    ROWS_INSERTED.labels(table=table.table).inc(table.rows)
    if table.table == SPANS:
        SENT_SPANS.labels(exporter=EXPORTER).inc(table.rows)
    elif table.table == LOGS:
        SENT_LOGS.labels(exporter=EXPORTER).inc(table.rows)


def _tell_broken(parts: dict[str, int]) -> None:
    """Show which parts are set aside because the disk or somebody damaged them; what becomes of their rows is told."""
    for table, count in parts.items():
        STORE_BROKEN_PARTS.labels(table=table).set(count)
        sys.stderr.write(
            f"sinks/clickhouse: {count} damaged part(s) of {table} were set aside (see system.detached_parts); "
            "their rows are brought back as far as they can be, and what is lost is counted\n"
        )
