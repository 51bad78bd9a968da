"""Where commands read: the running pipeline of the data dir over its ClickHouse door, else the store itself."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from collector.running import read_running
from config.settings import Settings
from sinks.reading import Query
from sinks.store import Store, StoreUnavailable


def store_dsn(settings: Settings) -> str:
    """Give the DSN of the store that is configured."""
    sink = next(iter(settings.sinks.values()), None)
    configured = sink.dsn.get_secret_value() if sink is not None else ""
    return configured or f"chdb:///{settings.service.data_dir}/store"


@contextmanager
def reading(settings: Settings) -> Iterator[Query]:
    """Open what can be asked, for as long as the block runs; raises StoreError or OSError."""
    running = read_running(settings.service.data_dir)
    dsn = store_dsn(settings)
    if running is not None and running.clickhouse_http and dsn.startswith("chdb:"):
        yield _over_http(running.clickhouse_http)
        return
    if dsn.startswith("chdb:") and not (settings.service.data_dir / "store").exists():
        yield _nothing_yet
        return
    store = Store(dsn)
    try:
        store.migrate()
        yield store.query
    finally:
        store.close()


def _nothing_yet(_sql: str, _parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return iter(())


def _over_http(address: str) -> Query:
    def ask(sql: str, parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
        options = {f"param_{name}": str(value) for name, value in parameters.items()}
        options["default_format"] = "JSONEachRow"
        connection = http.client.HTTPConnection(address, timeout=60)
        try:
            connection.request("POST", f"/?{urlencode(options)}", sql.encode())
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise StoreUnavailable(f"the running pipeline's store answered: {body.decode('utf-8', 'replace').strip()}")
        return (json.loads(line) for line in body.splitlines())

    return ask
