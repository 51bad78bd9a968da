"""A record that a server will never take is found, set aside, and costs the others nothing."""

from __future__ import annotations

from pathlib import Path

from clickhouse_fixtures import Place
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from stored_spans import numbers_of, outgoing_spans

from collector.bus.embedded import EmbeddedBus
from collector.bus.protocol import Outgoing
from collector.stages import StageThread
from schemas.topics import DEAD_LETTERS, OTLP_LOGS
from sinks.clickhouse import ClickHouseSink
from sinks.server_store import ServerStore

SECONDS = 60.0
SPANS = range(1, 9)


def outgoing_log(text: str, at_ns: int) -> Outgoing:
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=at_ns)
    record.body.string_value = text
    return Outgoing(OTLP_LOGS, "", request.SerializeToString())


def test_spans_that_were_written_before_it_are_not_written_again(place: Place, tmp_path: Path) -> None:
    """The log record is refused when the spans of its batch are in their table already."""
    store = ServerStore(place.dsn)
    store.migrate()
    store.command("ALTER TABLE otel_logs ADD CONSTRAINT harmless CHECK Body != 'poison'")
    bus = EmbeddedBus(tmp_path / "bus")
    now = bus.now_ns()
    for number in SPANS:
        bus.publish([outgoing_spans((number, now)), outgoing_log(f"log {number}", now)]).result(10)
    bus.publish([outgoing_log("poison", now)]).result(10)
    letters = bus.reader([DEAD_LETTERS])
    sink = ClickHouseSink(lambda: ServerStore(place.dsn), flush_seconds=0.01)
    thread = StageThread("sink", lambda: sink, bus, lambda reason: None)
    thread.start()
    try:
        (letter,) = letters.poll(timeout_seconds=SECONDS).records
        thread.finish()
        assert thread.join(SECONDS)
    finally:
        thread.stop()
        bus.close()
    assert b"poison" in letter.value
    assert letter.headers["error-class"] == b"StatementRefused"
    assert numbers_of(store) == list(SPANS)
    bodies = [row["Body"] for row in store.query("SELECT Body FROM otel_logs ORDER BY Body")]
    assert bodies == [f"log {number}" for number in SPANS]
