"""Brings rows back that the bus still holds: what was delivered is read again, and what a table lacks is inserted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from collector.bus.protocol import Consumer, Record
from collector.bus.repeats import Repeats
from collector.misrouted import is_misrouted
from schemas import topics
from sinks.batch_rows import BatchRows
from sinks.clickhouse import REPEATABLE
from sinks.columns import DAY_NS
from sinks.held_table import HeldTable, held_like
from sinks.store import Store

SOURCES = {
    "otel_traces": topics.OTLP_SPANS,
    "otel_logs": topics.OTLP_LOGS,
    "otel_metrics": topics.OTLP_METRICS,
    "agent_steps": topics.AGENT_STEPS,
    "detections": topics.DETECTIONS,
    "run_summaries": topics.RUN_SUMMARIES,
    "cost_metrics_rows": topics.USAGE,
    "healing": topics.HEALING_OUTCOMES,
    "approvals": topics.APPROVALS,
    "policies": topics.POLICIES,
    "feedback": topics.FEEDBACK,
    "thresholds": topics.THRESHOLDS,
    "dead_letters": topics.DEAD_LETTERS,
}
"""Which topic a table's rows come from."""
KEPT_BY = (
    "SELECT engine, sorting_key AS k FROM system.tables WHERE database = currentDatabase() AND name = {table:String}"
)
RECORDS_AT_ONCE, BYTES_AT_ONCE = 2_000, 8 * 1024 * 1024


class History(Protocol):
    """A bus that still holds what was read from it, for some days."""

    def reader(self, topics: Sequence[str]) -> Consumer:
        """Read without being a group."""

    def partitions(self, topic: str) -> int:
        """Say how many partitions a topic has."""

    def committed(self, group: str) -> Mapping[tuple[str, int], int]:
        """Give the next offset each topic and partition is read from by a group."""


class Replay:
    """Reads again what a group has read of a bus."""

    def __init__(self, history: History, group: str, repeat_window_seconds: float, kept_days: int) -> None:
        self._history = history
        self._group = group
        self._window = repeat_window_seconds
        self._kept_days = kept_days

    def rows_for(self, store: Store, table: str, partitions: Sequence[str]) -> int:
        """Insert what some partitions of a table lack; gives how many keys. Raises StoreError, BusError."""
        if table not in SOURCES:
            return 0
        with held_like(store, table) as held:
            for batch in self._batches(SOURCES[table]):
                self._hold(store, held, batch, table, partitions)
            listed = ", ".join(f"'{partition}'" for partition in partitions)
            missing = held.missing(f"_partition_id IN ({listed})", partitions)
            count = held.count(_what_counts(store, table), missing)
            held.take_over(missing)
            return count

    def _hold(self, store: Store, held: HeldTable, batch: list[Record], table: str, partitions: Sequence[str]) -> None:
        rows = BatchRows(self._group, self._kept_days)
        for record in batch:
            rows.add(record)
        columns = rows.tables.get(table)
        if columns is None:
            return
        for day, values in columns.by_day():
            if _may_be_in(day, partitions):
                store.insert(held.name, columns.names, values)

    def _batches(self, topic: str) -> Iterator[list[Record]]:
        """Read a topic from the oldest record to what the group has committed, without what clients sent twice."""
        ends = {part: end for (name, part), end in self._history.committed(self._group).items() if name == topic}
        repeats = Repeats(self._group, self._window)
        reader = self._history.reader([topic])
        try:
            for part in ends:
                reader.seek(topic, part, 0)
            while ends and (records := reader.poll(RECORDS_AT_ONCE, BYTES_AT_ONCE, 0.0).records):
                read = [record for record in records if self._was_stored(record, ends)]
                yield repeats.fresh(read, read[-1].append_ns)[0] if topic in REPEATABLE and read else read
                for record in records:
                    if record.offset >= ends.get(record.partition, 0) - 1:
                        ends.pop(record.partition, None)
        finally:
            reader.close()

    def _was_stored(self, record: Record, ends: Mapping[int, int]) -> bool:
        """Say whether the group stored what a record holds: one that stands where it does not belong comes again."""
        belongs = record.topic not in REPEATABLE or not is_misrouted(record, self._history.partitions(record.topic))
        return belongs and record.offset < ends.get(record.partition, 0)


def _what_counts(store: Store, table: str) -> str:
    """Count rows where a table keeps them all, and keys where it keeps one row of each."""
    (row,) = store.query(KEPT_BY, {"table": table})
    return f"uniqExact(tuple({row['k']}))" if row["engine"] == "ReplacingMergeTree" else "count()"


def _may_be_in(day: int, partitions: Sequence[str]) -> bool:
    """Say whether a day's rows may be in one of some partitions: those of a day, a month, or all there is."""
    at = time.gmtime(day * DAY_NS // 10**9)
    return bool({time.strftime("%Y%m%d", at), time.strftime("%Y%m", at), "all"} & set(partitions))
