"""Which store a configuration means, whether that can be, and how it is opened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from config.problems import Path
from config.settings import ClickHouseSinkSettings, Settings
from sinks.reader_user import Reader
from sinks.server_dsn import WrongDsn, is_server, server_dsn
from sinks.table_layout import Layout

if TYPE_CHECKING:
    from sinks.store import Store

EMBEDDED = "chdb:"
OF_SERVERS = ("cluster", "reader")
"""What only a server has."""


def store_dsn(settings: Settings) -> str:
    """Give the DSN of the store that is configured; the embedded one of the data dir where none is."""
    configured = _sink(settings).dsn.get_secret_value()
    return configured or f"chdb:///{settings.service.data_dir}/store"


def embeds_store(settings: Settings) -> bool:
    """Say whether the store is the embedded one."""
    return not is_server(store_dsn(settings))


def open_store(settings: Settings, engine_bytes: int = 0) -> Store:
    """Connect to the store that is configured; raises StoreError. `engine_bytes`: what an embedded one may take."""
    dsn, sink = store_dsn(settings), _sink(settings)
    if embeds_store(settings):
        from sinks.engine_memory import engine_settings
        from sinks.store import Store

        return Store(dsn, engine_settings(engine_bytes) if engine_bytes else None, layout(sink))
    from sinks.server_store import Patience, ServerStore

    patience = Patience(sink.connect_timeout_seconds, sink.timeout_seconds)
    return ServerStore(dsn, layout(sink), patience, _reader(sink))


def layout(sink: ClickHouseSinkSettings) -> Layout:
    """Give what is configured of the tables."""
    return Layout(sink.cluster, sink.hot_days, sink.delete_after_days, sink.cold_volume, sink.storage_policy)


def wrong_stores(settings: Settings) -> Iterator[tuple[Path, str]]:
    """Find what cannot be among the settings of the stores: the path in the configuration, and what to do."""
    stores = {name: sink for name, sink in settings.sinks.items() if isinstance(sink, ClickHouseSinkSettings)}
    for name, sink in stores.items():
        for key, text in _wrong(sink):
            yield ("sinks", name, key), text


def _wrong(sink: ClickHouseSinkSettings) -> Iterator[tuple[str, str]]:
    dsn = sink.dsn.get_secret_value()
    embedded = not dsn or dsn.startswith(EMBEDDED)
    if not embedded:
        try:
            server_dsn(dsn)
        except WrongDsn as wrong:
            yield "dsn", str(wrong)
    for key in OF_SERVERS:
        if embedded and getattr(sink, key):
            yield key, "only a server has it: give a dsn as clickhouse://user:password@host:8123/database, or remove it"
    yield from _wrong_days(sink)


def _wrong_days(sink: ClickHouseSinkSettings) -> Iterator[tuple[str, str]]:
    if sink.hot_days and not sink.cold_volume:
        yield "hot_days", "say where older rows go: cold_volume, a volume of the server's storage policy"
    if sink.cold_volume and not sink.hot_days:
        yield "cold_volume", "say from when on rows go there: hot_days"
    if sink.hot_days and sink.hot_days >= layout(sink).days:
        yield "hot_days", f"rows are deleted after {layout(sink).days} days, before they would move: give fewer"


def _reader(sink: ClickHouseSinkSettings) -> Reader | None:
    told = sink.reader
    return Reader(told.user, told.password.get_secret_value()) if told is not None else None


def _sink(settings: Settings) -> ClickHouseSinkSettings:
    stores = (sink for sink in settings.sinks.values() if isinstance(sink, ClickHouseSinkSettings))
    return next(stores, ClickHouseSinkSettings())
