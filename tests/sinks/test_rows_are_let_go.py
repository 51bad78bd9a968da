"""What a batch was made of is free as soon as it is stored, without the garbage collector, which comes rarely."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest
from stored_spans import NOW, record_of, request_of

from schemas.topics import OTLP_SPANS
from sinks.batch_rows import BatchRows
from sinks.store import Store


class Column(list[object]):
    """A column that can be watched."""


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_the_rows_of_a_batch() -> None:
    rows = BatchRows("sinks/clickhouse")
    rows.add(record_of(OTLP_SPANS, request_of((1, NOW)).SerializeToString()))
    assert rows.tables["otel_traces"].rows
    held = weakref.ref(rows)
    del rows
    assert held() is None


@pytest.mark.usefixtures("no_collector")
def test_the_columns_of_an_insert(store: Store) -> None:
    columns = [Column([NOW]), Column(["a" * 32])]
    held = [weakref.ref(column) for column in columns]
    store.insert("otel_traces", ["Timestamp", "TraceId"], columns)
    del columns
    assert [one() for one in held] == [None, None]
