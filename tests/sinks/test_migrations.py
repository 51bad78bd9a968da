"""Migrations: numbered, and harmless when they are applied again."""

from __future__ import annotations

from sinks.schema import migrations
from sinks.store import Store
from sinks.table_layout import RETENTION_DAYS


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [int(name[:3]) for name, _ in migrations()] == list(range(1, len(list(migrations())) + 1))


def test_every_statement_is_one_to_the_engine(store: Store) -> None:
    """A server refuses a comment that stands alone, which chDB runs."""
    for name, statements in migrations():
        for statement in statements:
            (row,) = store.query("SELECT formatQueryOrNull({sql:String}) AS sql", {"sql": statement})
            assert row["sql"], f"{name}: {statement}"


def test_applying_them_again_changes_nothing(store: Store) -> None:
    before = list(store.query("SELECT name, create_table_query FROM system.tables WHERE database = 'default'"))
    store.migrate()
    assert list(store.query("SELECT name, create_table_query FROM system.tables WHERE database = 'default'")) == before


def test_a_migration_that_was_killed_halfway_is_finished(store: Store) -> None:
    """Its first statement is through, and nothing says so."""
    store.command("DROP VIEW agent_steps_latest")
    store.command("ALTER TABLE schema_migrations DELETE WHERE Name LIKE '005%' SETTINGS mutations_sync = 2")
    store.migrate()
    assert list(store.query("SELECT count() AS Steps FROM agent_steps_latest")) == [{"Steps": 0}]


def test_what_is_kept_is_kept_as_long_as_the_sink_says() -> None:
    for name, statements in migrations():
        for statement in statements:
            assert "TTL " not in statement or f"toIntervalDay({RETENTION_DAYS})" in statement, name


def test_grafana_finds_a_trace_by_its_id(store: Store) -> None:
    store.command(
        "INSERT INTO otel_traces (Timestamp, TraceId, SpanId, ServiceName, SpanName, Duration) "
        "VALUES (now64(9), 'abc', 'd', 's', 'n', 5)"
    )
    asked = (
        "WITH 'abc' AS trace_id, (SELECT min(Start) FROM otel_traces_trace_id_ts WHERE TraceId = trace_id) AS start, "
        "(SELECT max(End) + 1 FROM otel_traces_trace_id_ts WHERE TraceId = trace_id) AS end "
        "SELECT SpanId FROM otel_traces WHERE TraceId = trace_id AND Timestamp >= start AND Timestamp <= end"
    )
    assert list(store.query(asked)) == [{"SpanId": "d"}]
