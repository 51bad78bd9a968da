"""One store a module: chDB takes one path at a time, so every test empties the tables it finds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_fixtures import clickhouse, place

from sinks.clickhouse_http import ClickHouseHttp
from sinks.store import Store

__all__ = ["clickhouse", "door", "migrated", "place", "store", "store_path"]


@pytest.fixture(scope="module")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engine") / "store"


@pytest.fixture(scope="module")
def migrated(store_path: Path) -> Iterator[Store]:
    store = Store(f"chdb:///{store_path}")
    store.migrate()
    yield store
    store.close()


@pytest.fixture
def store(migrated: Store) -> Store:
    for row in migrated.query("SELECT name FROM system.tables WHERE database = 'default' AND engine LIKE '%MergeTree'"):
        if row["name"] != "schema_migrations":
            migrated.command(f"TRUNCATE TABLE {row['name']}")
    return migrated


@pytest.fixture(scope="module")
def door(migrated: Store, store_path: Path) -> Iterator[ClickHouseHttp]:
    served = ClickHouseHttp("127.0.0.1:0", f"chdb:///{store_path}")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(served.start(), loop).result(60)
    yield served
    asyncio.run_coroutine_threadsafe(served.stop(), loop).result(60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
