"""The store on a server: what a server does with what is sent, and what becomes of it when the wire fails."""

from __future__ import annotations

import threading

import pytest
from clickhouse_fixtures import Place
from stored_spans import NOW, EmptyState, numbers_of, outgoing_spans, record_of

from collector.bus.protocol import Batch
from schemas.topics import OTLP_SPANS
from sinks.circuit import FAILURES
from sinks.clickhouse import ClickHouseSink
from sinks.schema import migrations
from sinks.server_store import Patience, ServerStore
from sinks.store import StatementRefused, StoreAsks, StoreAway, StoreError
from sinks.table_layout import Layout


def batch_of(*numbers: int) -> Batch:
    value = outgoing_spans(*((number, NOW + number) for number in numbers)).value
    return Batch([record_of(OTLP_SPANS, value)], NOW)


def deliver(store: ServerStore, batch: Batch, token: str, again: bool = False) -> None:
    """Deliver as a sink does that has just been started."""
    sink = ClickHouseSink(lambda: store)
    sink.restore(EmptyState())
    sink.deliver(batch, token, again)


def test_a_database_that_is_not_there_is_made_with_all_its_tables(place: Place) -> None:
    store = ServerStore(place.dsn)
    store.migrate()
    store.migrate()
    names = [row["Name"] for row in store.query("SELECT Name FROM schema_migrations ORDER BY Name")]
    assert names == [name for name, _ in migrations()]
    store.close()


def test_sinks_that_migrate_at_the_same_time_all_come_through(place: Place) -> None:
    failed: list[StoreError] = []
    begin = threading.Barrier(4)

    def migrate() -> None:
        store = ServerStore(place.dsn)
        try:
            begin.wait(30)
            store.migrate()
        except StoreError as error:
            failed.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=migrate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    store = ServerStore(place.dsn)
    deliver(store, batch_of(1), "after")
    assert numbers_of(store) == [1]


def test_a_batch_that_comes_again_is_there_once(place: Place) -> None:
    store = ServerStore(place.dsn)
    deliver(store, batch_of(1, 2), "sinks|one")
    deliver(store, batch_of(1, 2), "sinks|one")
    deliver(store, batch_of(1, 2), "sinks|one", again=True)
    assert numbers_of(store) == [1, 2]


def test_of_a_part_of_a_batch_only_what_is_missing_is_inserted(place: Place) -> None:
    store = ServerStore(place.dsn)
    deliver(store, batch_of(1, 2), "sinks|one")
    deliver(store, batch_of(2, 3), "sinks|one/0", again=True)
    deliver(store, batch_of(2, 3), "sinks|one/0", again=True)
    assert numbers_of(store) == [1, 2, 3]


def test_rows_whose_token_is_remembered_and_which_are_gone_are_inserted(place: Place) -> None:
    store = ServerStore(place.dsn)
    deliver(store, batch_of(1, 2), "sinks|one")
    store.command("ALTER TABLE otel_traces DELETE WHERE SpanId LIKE '%2' SETTINGS mutations_sync = 2")
    deliver(store, batch_of(1, 2), "sinks|one", again=True)
    assert numbers_of(store) == [1, 2]


def test_an_answer_that_is_lost_costs_nothing_and_doubles_nothing(place: Place) -> None:
    store = ServerStore(place.faulty_dsn)
    store.migrate()
    place.link.cut_answers = 2  # the driver's own repeat is cut as well
    with pytest.raises(StoreAway, match="ended the connection"):
        deliver(store, batch_of(1, 2), "sinks|one")
    assert numbers_of(store) == [1, 2]
    deliver(store, batch_of(1, 2), "sinks|one", again=True)
    assert numbers_of(store) == [1, 2]


def test_an_answer_that_comes_too_late_is_one_that_is_asked_for_again(place: Place) -> None:
    store = ServerStore(place.faulty_dsn, patience=Patience(connect_seconds=5, answer_seconds=1))
    store.migrate()
    place.link.delay_seconds = 3
    with pytest.raises(StoreAway, match="did not answer in time"):
        deliver(store, batch_of(1, 2), "sinks|one")
    place.link.delay_seconds = 0
    deliver(store, batch_of(1, 2), "sinks|one", again=True)
    assert numbers_of(store) == [1, 2]


def test_a_server_that_is_away_is_asked_little_and_sent_nothing(place: Place) -> None:
    store = ServerStore(place.faulty_dsn)
    sink = ClickHouseSink(lambda: store)
    sink.restore(EmptyState())
    sink.deliver(batch_of(3), "sinks|none", again=False)
    sink.restore(EmptyState())
    place.link.unplug()
    place.link.hangs_up = True
    place.link.plug_in()
    connections = place.link.connections
    for _ in range(20):
        with pytest.raises(StoreAway):
            sink.deliver(batch_of(1, 2), "sinks|one", again=True)
        sink.restore(EmptyState())
    assert FAILURES <= place.link.refused_rows <= 2 * FAILURES, "the driver repeats each once"
    assert place.link.connections - connections <= 2 * 20
    place.link.hangs_up = False
    sink.deliver(batch_of(1, 2), "sinks|one", again=True)
    assert numbers_of(store) == [1, 2, 3]


def test_what_is_kept_and_when_it_moves_follows_the_configuration_on_tables_that_are_there(place: Place) -> None:
    ServerStore(place.dsn).migrate()
    store = ServerStore(place.dsn, Layout(hot_days=7, delete_after_days=30, cold_volume="default"))
    store.migrate()
    asked = "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = 'otel_logs'"
    moved = "TTL toDate(Timestamp) + toIntervalDay(7) TO VOLUME 'default', toDate(Timestamp) + toIntervalDay(30)"
    assert moved in next(store.query(asked))["engine_full"]
    ServerStore(place.dsn).migrate()
    assert moved in next(store.query(asked))["engine_full"], "what is not configured is left as it is"


def test_who_is_at_fault_is_told_apart(place: Place) -> None:
    store = ServerStore(place.dsn)
    store.migrate()
    with pytest.raises(StoreAsks, match="a table of tracemend's is not there"):
        store.command("SELECT 1 FROM nothing_of_this_name")
    with pytest.raises(StatementRefused):
        store.command("INSERT INTO schema_migrations (At) SELECT toDateTime('no time at all')")
    with pytest.raises(StoreAway):
        store.command("SELECT throwIf(1, 'x', 252::Int16) SETTINGS allow_custom_error_code_in_throwif = 1")
