"""What clients send again is stored once, and only that is held to be the same."""

from __future__ import annotations

from stored_spans import NOW, CommittedState, numbers_of, record_of, request_of

from collector.bus.protocol import Batch
from schemas.topics import OTLP_SPANS
from sinks.clickhouse import ClickHouseSink
from sinks.store import Store

HOUR = 3_600 * 1_000_000_000


def test_two_tenants_may_send_the_same_bytes(store: Store) -> None:
    sink = ClickHouseSink(lambda: store)
    sink.restore(CommittedState())
    value = request_of((1, NOW)).SerializeToString()
    records = [record_of(OTLP_SPANS, value, at, {"tenant": name}, NOW) for at, name in enumerate((b"one", b"two"))]
    sink.deliver(Batch(records, NOW), "a", again=False)
    tenants = store.query("SELECT ResourceAttributes['tracemend.tenant'] AS Tenant FROM otel_traces ORDER BY Tenant")
    assert [row["Tenant"] for row in tenants] == ["one", "two"]


def test_a_repeat_is_known_as_one_however_long_the_sink_was_down(store: Store) -> None:
    """The repeat came within the window; that it is read an hour later makes no second request of it."""
    state = CommittedState()
    sink = ClickHouseSink(lambda: store)
    sink.restore(state)
    value = request_of((1, NOW)).SerializeToString()
    state.apply(sink.deliver(Batch([record_of(OTLP_SPANS, value, 0, at=NOW)], NOW), "a", again=False).changes)
    sink.restore(state)
    sink.deliver(Batch([record_of(OTLP_SPANS, value, 1, at=NOW + 1)], NOW + HOUR), "b", again=False)
    assert numbers_of(store) == [1]
