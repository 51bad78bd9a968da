"""The sink on a real bus and a real engine: each record once, whatever dies between insert and commit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.bus.embedded import EmbeddedBus
from collector.bus.protocol import Batch, Consumer, Handled, Outgoing
from collector.deliveries import DeliveryTask
from collector.poison import PoisonLimit
from schemas.topics import OTLP_SPANS
from sinks.clickhouse import ClickHouseSink
from sinks.schema import migrations
from sinks.store import Store

NOW_NS = 1_790_000_000_000_000_000


class Died(Exception):  # noqa: N818  # what the test makes happen
    """The process died."""


class DyingSink(ClickHouseSink):
    """A sink that dies right after its insert."""

    def deliver(self, batch: Batch, token: str, again: bool) -> Handled:
        """Insert, and die before anybody can commit."""
        super().deliver(batch, token, again)
        raise Died


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[EmbeddedBus]:
    opened = EmbeddedBus(tmp_path / "bus")
    yield opened
    opened.close()


def spans(bus: EmbeddedBus, first: int, count: int) -> None:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number in range(first, first + count):
        start = bus.now_ns()
        scope.spans.add(
            trace_id=number.to_bytes(16, "big"),
            span_id=number.to_bytes(8, "big"),
            name="x",
            start_time_unix_nano=start,
            end_time_unix_nano=start,
        )
    bus.publish([Outgoing(OTLP_SPANS, "", request.SerializeToString())]).result(5)


def round_of(sink: ClickHouseSink, bus: EmbeddedBus) -> Consumer:
    """Run one round of the sink as its driver does, and let what it raises through."""
    consumer = bus.consumer(sink.group, sink.topics)
    task = DeliveryTask(sink, consumer, lambda: True, lambda: None, PoisonLimit("g"))
    sink.restore(consumer.state)
    try:
        batch = task._poll(sink.max_records, 0.25)
        handled = task._handle(batch)
        consumer.commit(handled.outputs, handled.changes)
    finally:
        sink.close()
    return consumer


def stored(path: Path) -> tuple[int, int]:
    store = Store(f"chdb:///{path}")
    (row,) = store.query("SELECT count() AS all, uniqExact(TraceId, SpanId) AS once FROM otel_traces")
    store.close()
    return int(row["all"]), int(row["once"])


def test_a_batch_that_was_inserted_but_not_committed_is_there_once(tmp_path: Path, bus: EmbeddedBus) -> None:
    def open_store() -> Store:
        return Store(f"chdb:///{tmp_path / 'store'}")

    spans(bus, 1, 10)
    with pytest.raises(Died):
        round_of(DyingSink(open_store, flush_seconds=0.01), bus)
    spans(bus, 100, 7)  # other data that waits by the time the sink is back
    sink = ClickHouseSink(open_store, flush_seconds=0.01)
    round_of(sink, bus)
    assert stored(tmp_path / "store") == (10, 10)
    consumer = round_of(sink, bus)
    assert stored(tmp_path / "store") == (17, 17)
    assert set(consumer.lag().values()) == {0}


def test_a_request_that_a_client_repeats_is_stored_once(tmp_path: Path, bus: EmbeddedBus) -> None:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(
        trace_id=b"t" * 16, span_id=b"s" * 8, start_time_unix_nano=bus.now_ns()
    )
    for _ in range(3):
        bus.publish([Outgoing(OTLP_SPANS, "", request.SerializeToString())]).result(5)
    sink = ClickHouseSink(lambda: Store(f"chdb:///{tmp_path / 'store'}"), flush_seconds=0.01)
    round_of(sink, bus)
    assert stored(tmp_path / "store") == (1, 1)


def test_spans_dated_outside_what_is_kept_go_to_the_dead_letters(tmp_path: Path, bus: EmbeddedBus) -> None:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number, start in enumerate((5, bus.now_ns(), bus.now_ns() + 3 * 86_400 * 10**9), start=1):
        scope.spans.add(
            trace_id=number.to_bytes(16, "big"), span_id=number.to_bytes(8, "big"), start_time_unix_nano=start
        )
    bus.publish([Outgoing(OTLP_SPANS, "", request.SerializeToString())]).result(5)
    reader = bus.reader(["dead_letters"])
    round_of(ClickHouseSink(lambda: Store(f"chdb:///{tmp_path / 'store'}"), flush_seconds=0.01), bus)
    assert stored(tmp_path / "store") == (1, 1)
    (letter,) = reader.poll(timeout_seconds=2).records
    put_aside = ExportTraceServiceRequest.FromString(letter.value)
    assert [s.span_id[-1] for rs in put_aside.resource_spans for scope in rs.scope_spans for s in scope.spans] == [1, 3]


def test_a_record_nobody_can_read_does_not_stand_in_the_way(tmp_path: Path, bus: EmbeddedBus) -> None:
    bus.publish([Outgoing(OTLP_SPANS, "", b"\xff\xffnonsense")]).result(5)
    bus.publish([Outgoing("detections", "k", b"{}")]).result(5)
    spans(bus, 1, 3)
    reader = bus.reader(["dead_letters"])
    round_of(ClickHouseSink(lambda: Store(f"chdb:///{tmp_path / 'store'}"), flush_seconds=0.01), bus)
    assert stored(tmp_path / "store") == (3, 3)
    assert len(reader.poll(timeout_seconds=2).records) == 2


def test_migrations_are_applied_once_and_any_number_of_times(tmp_path: Path) -> None:
    store = Store(f"chdb:///{tmp_path / 'store'}")
    store.migrate()
    store.migrate()
    names = [row["Name"] for row in store.query("SELECT Name FROM schema_migrations ORDER BY Name")]
    assert names == [name for name, _ in migrations()]
    store.close()
