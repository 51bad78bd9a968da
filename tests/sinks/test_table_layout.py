"""Statements for clusters and volumes, which chDB cannot run: that it reads them, and what they then say."""

from __future__ import annotations

import pytest

from sinks.schema import RECORDED, migrations
from sinks.store import Store
from sinks.table_layout import Layout, laid_out

CLUSTER = Layout(cluster="it's `one`", hot_days=7, delete_after_days=400, cold_volume="co'ld", storage_policy="ti'ered")
STATEMENTS = [RECORDED, *(statement for _, statements in migrations() for statement in statements)]


def as_read(store: Store, statement: str) -> str:
    """Have the engine read a statement and write it down again."""
    (row,) = store.query("SELECT formatQuerySingleLine({sql:String}) AS sql", {"sql": statement})
    return str(row["sql"])


@pytest.mark.parametrize("statement", STATEMENTS)
def test_on_a_cluster_everything_is_made_on_all_of_it(store: Store, statement: str) -> None:
    read = as_read(store, laid_out(statement, CLUSTER))
    assert "ON CLUSTER `it's \\`one\\``" in read
    if "ENGINE" in read:
        assert "MergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}'" in read
        assert "ENGINE = Replicated" in read
        assert "non_replicated" not in read


def test_engines_keep_what_they_replace_by_and_tokens_outlast_a_weekend(store: Store) -> None:
    texts = [as_read(store, laid_out(statement, CLUSTER)) for statement in STATEMENTS]
    (steps,) = (text for text in texts if "EXISTS agent_steps ON" in text and "TABLE" in text)
    assert "ENGINE = ReplicatedReplacingMergeTree('" in steps
    assert "'{replica}', Revision)" in steps
    (traces,) = (text for text in texts if "EXISTS otel_traces ON" in text)
    assert "replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800" in traces


def test_rows_move_and_go_when_it_is_said(store: Store) -> None:
    dated = [statement for statement in STATEMENTS if "\nTTL " in statement]
    assert len(dated) == 11
    for statement in dated:
        read = as_read(store, laid_out(statement, CLUSTER))
        assert "toIntervalDay(7) TO VOLUME 'co\\'ld', " in read
        assert "toIntervalDay(400)" in read
        assert "storage_policy = 'ti\\'ered'" in read


@pytest.mark.parametrize("statement", STATEMENTS)
def test_by_default_a_migration_is_run_as_it_is_written(statement: str) -> None:
    assert laid_out(statement, Layout()) == statement
