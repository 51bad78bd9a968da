"""A batch that may have been written before: what is there stays once, what is missing is put in."""

from __future__ import annotations

import uuid

import pytest
from stored_spans import NOW, EmptyState, numbers_of, outgoing_spans, record_of

from collector.bus.protocol import Batch, part_of
from schemas.topics import OTLP_SPANS
from sinks.clickhouse import ClickHouseSink
from sinks.store import HELD_TABLE, Store


@pytest.fixture
def token() -> str:
    """Draw a token that no table remembers: emptying one does not make it forget."""
    return f"sinks/clickhouse|{uuid.uuid4().hex}"


@pytest.fixture
def sink(store: Store) -> ClickHouseSink:
    made = ClickHouseSink(lambda: store)
    made.restore(EmptyState())
    return made


def batch_of(*numbers: int) -> Batch:
    value = outgoing_spans(*((number, NOW + number) for number in numbers)).value
    return Batch([record_of(OTLP_SPANS, value)], NOW)


def traces_looked_up(store: Store) -> int:
    (row,) = store.query("SELECT uniqExact(TraceId) AS n FROM otel_traces_trace_id_ts")
    return int(row["n"])


def test_an_insert_whose_token_is_remembered_and_whose_rows_are_gone_is_made_again(
    sink: ClickHouseSink, store: Store, token: str
) -> None:
    sink.deliver(batch_of(1, 2), token, again=False)
    # What a death between the engine's note of the token and the rows becoming visible leaves behind:
    store.command("ALTER TABLE otel_traces DELETE WHERE 1 SETTINGS mutations_sync = 2")
    sink.restore(EmptyState())
    sink.deliver(batch_of(1, 2), token, again=False)
    assert numbers_of(store) == []
    sink.restore(EmptyState())
    sink.deliver(batch_of(1, 2), token, again=True)
    assert numbers_of(store) == [1, 2]
    assert traces_looked_up(store) == 2


def test_what_is_there_is_not_written_again(sink: ClickHouseSink, store: Store, token: str) -> None:
    sink.deliver(batch_of(1, 2), token, again=False)
    assert numbers_of(store) == [1, 2]
    sink.restore(EmptyState())
    sink.deliver(batch_of(1, 2), token, again=True)
    assert numbers_of(store) == [1, 2]


def test_parts_of_a_batch_that_was_cut_are_completed(sink: ClickHouseSink, store: Store, token: str) -> None:
    sink.deliver(batch_of(1, 2), token, again=False)
    sink.restore(EmptyState())
    sink.deliver(batch_of(2, 3), part_of(token, 0), again=True)
    sink.restore(EmptyState())
    sink.deliver(batch_of(4), part_of(token, 1), again=True)
    assert numbers_of(store) == [1, 2, 3, 4]
    assert not list(store.query(f"SHOW TABLES LIKE '{HELD_TABLE}%'"))
