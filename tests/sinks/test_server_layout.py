"""Tables as a configuration wants them, on an engine that has clusters and volumes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from clickhouse_servers import ChdbServer
from stored_spans import DAY, NOW, EmptyState, numbers_of, outgoing_spans, record_of

from collector.bus.protocol import Batch, part_of
from schemas.topics import OTLP_SPANS
from sinks.clickhouse import ClickHouseSink
from sinks.cluster import check_cluster, tables_are_everywhere
from sinks.reader_user import Reader, statements_for
from sinks.server_store import ServerStore
from sinks.store import Store, StoreAsks
from sinks.table_layout import Layout

TIERED = Layout(hot_days=7, delete_after_days=30, cold_volume="cold", storage_policy="tiered")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChdbServer]:
    opened = ChdbServer(tmp_path_factory.mktemp("server"))
    yield opened
    opened.close()


@pytest.fixture
def dsn(server: ChdbServer) -> str:
    return server.dsn(f"t{uuid.uuid4().hex[:10]}")


def deliver(store: Store, days: int, *spans: tuple[int, int], under: str = "t") -> list[int]:
    sink = ClickHouseSink(lambda: store, kept_days=days)
    sink.restore(EmptyState())
    handled = sink.deliver(Batch([record_of(OTLP_SPANS, outgoing_spans(*spans).value)], NOW), under, again=False)
    assert not handled.outputs
    return numbers_of(store)


def disks_of(store: Store) -> dict[int, str]:
    """Say by span on which disk it is."""
    asked = (
        "SELECT SpanId, disk_name FROM otel_traces AS t INNER JOIN system.parts AS p ON t._part = p.name "
        "WHERE p.database = currentDatabase() AND p.table = 'otel_traces' AND p.active"
    )
    return {int(row["SpanId"], 16): row["disk_name"] for row in store.query(asked)}


def test_rows_beyond_the_hot_days_are_on_the_cold_volume(dsn: str) -> None:
    store = ServerStore(dsn, TIERED)
    deliver(store, TIERED.days, (1, NOW), (2, NOW - 10 * DAY), (3, NOW - 29 * DAY))
    assert disks_of(store) == {1: "default", 2: "slow", 3: "slow"}


def test_tables_that_are_there_are_moved_to_a_policy_and_its_days(dsn: str) -> None:
    ServerStore(dsn).migrate()
    store = ServerStore(dsn, TIERED)
    deliver(store, TIERED.days, (1, NOW), (2, NOW - 10 * DAY))
    assert disks_of(store) == {1: "default", 2: "slow"}
    asked = "SELECT storage_policy, engine_full FROM system.tables WHERE database = currentDatabase()"
    dated = [row["storage_policy"] for row in store.query(asked) if " TTL " in row["engine_full"]]
    assert dated == ["tiered"] * 11


def test_rows_are_kept_as_long_as_is_configured(dsn: str) -> None:
    store = ServerStore(dsn, Layout(delete_after_days=400))
    assert deliver(store, 400, (1, NOW - 200 * DAY), (2, NOW)) == [1, 2]
    store.command("OPTIMIZE TABLE otel_traces FINAL")
    assert numbers_of(store) == [1, 2]


def test_a_policy_that_the_server_does_not_have_is_told(dsn: str) -> None:
    with pytest.raises(StoreAsks, match="UNKNOWN_POLICY"):
        ServerStore(dsn, Layout(storage_policy="none_such")).migrate()


def test_a_cluster_is_one_that_the_server_knows_and_has_one_shard(dsn: str) -> None:
    store = ServerStore(dsn)
    store.migrate()
    assert check_cluster(store, "one") == 1
    with pytest.raises(StoreAsks, match="knows no cluster 'three'; it knows: one, two"):
        check_cluster(store, "three")


def test_a_cluster_is_looked_at_before_anything_is_made(dsn: str) -> None:
    with pytest.raises(StoreAsks, match="'two' has 2 shards"):
        ServerStore(dsn, Layout(cluster="two")).migrate()
    with pytest.raises(StoreAsks, match="is not there"):
        ServerStore(dsn).ping()


def test_a_replica_without_tables_is_seen(dsn: str) -> None:
    store = ServerStore(dsn)
    store.migrate()
    database = dsn.rpartition("/")[2]
    assert tables_are_everywhere(store, "one", database, 1)
    assert not tables_are_everywhere(store, "one", database, 2)
    assert not tables_are_everywhere(store, "one", "none_such", 1)


def test_of_a_cut_batch_only_what_no_replica_holds_is_inserted(dsn: str) -> None:
    """On tables of one server, since chDB spreads no statements; the question to all replicas is what is tried."""
    alone = ServerStore(dsn)
    deliver(alone, 90, (1, NOW), (2, NOW), under="sinks|one")
    sink_of_cluster = ServerStore(dsn, Layout(cluster="one"))
    columns = [list(column) for column in zip(*_rows(alone), strict=True)]
    sink_of_cluster.insert_missing("otel_traces", _names(alone), columns, part_of("sinks|one", 0))
    assert numbers_of(alone) == [1, 2]
    alone.command("ALTER TABLE otel_traces DELETE WHERE SpanId LIKE '%2' SETTINGS mutations_sync = 2")
    sink_of_cluster.insert_missing("otel_traces", _names(alone), columns)
    assert numbers_of(alone) == [1], "under the same token a replicated table is believed"
    sink_of_cluster.insert_missing("otel_traces", _names(alone), columns, part_of("sinks|one", 1))
    assert numbers_of(alone) == [1, 2]


def test_a_reader_that_may_not_be_created_is_told_and_stops_nothing(
    dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ServerStore(dsn, reader=Reader("grafana", "s3cr3t"))
    store.migrate()
    told = capsys.readouterr().err
    assert "the reader 'grafana' was not created" in told
    assert "Create it by hand" in told
    assert "s3cr3t" not in told
    assert deliver(store, 90, (1, NOW)) == [1]


def test_what_makes_a_reader_is_read_by_the_engine(dsn: str) -> None:
    store = ServerStore(dsn)
    store.migrate()
    made, granted = statements_for(Reader("gra`fana", "s3cr3t"), "obs", Layout(cluster="one"))
    assert "s3cr3t" not in made
    for statement in (made, granted):
        assert list(store.query("SELECT formatQuery({sql:String})", {"sql": statement}))
    assert "CREATE USER IF NOT EXISTS `gra\\`fana` ON CLUSTER `one` IDENTIFIED WITH sha256_hash BY" in made
    assert "SETTINGS readonly = 2, max_execution_time = 60 MAX 300" in made
    assert granted == "GRANT ON CLUSTER `one` SELECT ON `obs`.* TO `gra\\`fana`"


def _names(store: ServerStore) -> list[str]:
    return [row["name"] for row in store.query("DESCRIBE TABLE otel_traces")]


def _rows(store: ServerStore) -> list[tuple[object, ...]]:
    asked = "SELECT * REPLACE (toUnixTimestamp64Nano(Timestamp) AS Timestamp) FROM otel_traces ORDER BY SpanId"
    return [tuple(row.values()) for row in store.query(asked)]
