"""Where commands read: the server of the DSN, the running pipeline of the data dir, else its store on disk."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from collector.running import read_running
from collector.stores import embeds_store, open_store, store_dsn
from config.settings import Settings
from sinks.reading import Query
from sinks.server_dsn import server_dsn
from sinks.store import StoreUnavailable


@contextmanager
def reading(settings: Settings) -> Iterator[Query]:
    """Open what can be asked, for as long as the block runs; raises StoreError or OSError."""
    running = read_running(settings.service.data_dir)
    if not embeds_store(settings):
        yield from _of_a_server(settings)
        return
    if running is not None and running.clickhouse_http:
        yield _over_http(running.clickhouse_http)
        return
    if not (settings.service.data_dir / "store").exists():
        yield _nothing_yet
        return
    store = open_store(settings)
    try:
        store.migrate()
        yield store.query
    finally:
        store.close()


def _of_a_server(settings: Settings) -> Iterator[Query]:
    """Ask a server; its tables are those of its sinks, so nothing is migrated: who reads may not write."""
    store = open_store(settings)
    try:
        if not next(store.query("EXISTS TABLE detections_latest"))["result"]:
            where = server_dsn(store_dsn(settings)).shown
            raise StoreUnavailable(f"{where} holds no tables of tracemend's: is it the one a sink writes to?")
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
