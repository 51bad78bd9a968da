"""What the sink's user and a reader need to be allowed, by the engine's own access control."""

from __future__ import annotations

from pathlib import Path

import pytest
from clickhouse_servers import ChdbServer
from stored_spans import NOW, EmptyState, numbers_of, outgoing_spans, record_of

from collector.bus.protocol import Batch
from schemas.topics import OTLP_SPANS
from sinks import reading
from sinks.clickhouse import ClickHouseSink
from sinks.server_store import ServerStore
from sinks.store import StoreAsks

SINK = ("SELECT, INSERT, ALTER, CREATE TABLE, CREATE VIEW, DROP VIEW ON obs.*", "CREATE TEMPORARY TABLE ON *.*")
"""As sinks/README.md says."""
OF_THE_INTERFACE = ("FILE ON *.*",)
"""chDB has no body of a request to read rows from, but a file."""
READER = ("SELECT ON obs.*",)


def deliver(store: ServerStore, token: str, again: bool = False) -> list[int]:
    sink = ClickHouseSink(lambda: store)
    sink.restore(EmptyState())
    batch = Batch([record_of(OTLP_SPANS, outgoing_spans((1, NOW), (2, NOW)).value)], NOW)
    sink.deliver(batch, token, again)
    return numbers_of(store)


def test_a_sink_needs_no_more_than_is_written_down(tmp_path: Path) -> None:
    server = ChdbServer(tmp_path)
    try:
        ServerStore(server.dsn("default")).command("CREATE DATABASE obs")
        server.kill()
        server.let((*SINK, *OF_THE_INTERFACE))
        server.start()
        store = ServerStore(server.dsn("obs"))
        assert deliver(store, "sinks|one") == [1, 2]
        assert deliver(store, "sinks|one", again=True) == [1, 2]
        assert deliver(store, "sinks|one/0", again=True) == [1, 2]
        with pytest.raises(StoreAsks, match="the user lacks a right"):
            ServerStore(server.dsn("elsewhere")).migrate()
    finally:
        server.close()


@pytest.mark.parametrize("readonly", [1, 2])
def test_a_reader_reads_and_writes_nothing(tmp_path: Path, readonly: int) -> None:
    server = ChdbServer(tmp_path)
    try:
        deliver(ServerStore(server.dsn("obs")), "sinks|one")
        server.kill()
        server.let(READER, f"<readonly>{readonly}</readonly>")
        server.start()
        store = ServerStore(server.dsn("obs"))
        assert numbers_of(store) == [1, 2]
        assert reading.detections(store.query) == []
        assert reading.runs(store.query) == []
        with pytest.raises(StoreAsks):
            store.command("TRUNCATE TABLE otel_traces")
        assert numbers_of(store) == [1, 2]
    finally:
        server.close()
