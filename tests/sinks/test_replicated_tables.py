"""Tables of a cluster, made by an engine with a real keeper. chDB makes them and holds them, but takes no rows in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_servers import ChdbServer
from kafka_jars import NoBroker
from keeper_process import KeeperProcess

from sinks.schema import RECORDED, migrations
from sinks.server_store import ServerStore
from sinks.table_layout import Layout, laid_out

KEPT_BY = "<zookeeper><node><host>127.0.0.1</host><port>{port}</port></node></zookeeper>"
LAYOUT = Layout(cluster="one", hot_days=7, delete_after_days=30, cold_volume="cold", storage_policy="tiered")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ChdbServer]:
    try:
        keeper = KeeperProcess(tmp_path)
    except NoBroker as reason:
        pytest.skip(f"no keeper: {reason}")
    opened = ChdbServer(tmp_path, more=KEPT_BY.format(port=keeper.port))
    yield opened
    opened.close()
    keeper.close()


@pytest.mark.exporters
@pytest.mark.timeout(400)
def test_every_table_is_made_with_its_path_in_the_keeper(server: ChdbServer) -> None:
    ServerStore(server.dsn("default")).command("CREATE DATABASE obs")
    store = ServerStore(server.dsn("obs"))
    every = [RECORDED, *(one for _, statements in migrations() for one in statements)]
    for statement in every:
        store.command(laid_out(statement, LAYOUT).replace(LAYOUT.on_cluster(), ""))
    kept = {row["table"]: row for row in store.query("SELECT table, zookeeper_path, replica_name FROM system.replicas")}
    assert len(kept) == sum("CREATE TABLE" in statement for statement in every) >= 12
    for table, row in kept.items():
        assert (row["zookeeper_path"], row["replica_name"]) == (f"/clickhouse/tables/1/obs/{table}", "a")
    (traces,) = store.query(
        "SELECT engine_full AS e FROM system.tables WHERE database = 'obs' AND name = 'otel_traces'"
    )
    assert "replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800" in traces["e"]
    assert "toIntervalDay(7) TO VOLUME 'cold', toDate(Timestamp) + toIntervalDay(30)" in traces["e"]
