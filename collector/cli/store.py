"""`tracemend store check` and `tracemend store repair`: is the embedded store whole, and what of it can be saved."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from collector.cli.configuration import load_settings
from collector.cli.output import TABLE, Cell, WrongUsage, add_row, check_format, make_table, print_rows
from collector.memory_shares import shares
from collector.running import DataDirBusyError, DataDirLock
from collector.stores import embeds_store, layout, open_store
from config.settings import MIB, ClickHouseSinkSettings, Settings

if TYPE_CHECKING:
    from sinks.replay import Replay
    from sinks.rescue import Rescued
    from sinks.store import Store
    from sinks.store_check import TableFound

UNKNOWN = "nobody knows"
ON_A_SERVER = "only the embedded store is checked here: a ClickHouse server has CHECK TABLE, and mends its own parts"
WHILE_RUNNING = "while it runs it looks after its store by itself: see sinks/clickhouse in /healthz"
NOT_THERE = "the store is not there yet"
AWAY = "damaged"
"""The folder of the data dir where damaged parts are put away."""


def check(config: Sequence[Path], set_: Sequence[str], data_dir: Path | None, format_: str) -> int:
    """Print how each table is; returns 0 where all are sound, 1 where something is damaged or waits to be put away."""
    from sinks.store_check import look_through

    return _with_store(config, set_, data_dir, format_, lambda _, store: _told(look_through(store), format_))


def repair(config: Sequence[Path], set_: Sequence[str], data_dir: Path | None, format_: str) -> int:
    """Bring back what can be and put away what is damaged; returns 0 where no row is lost, else 1."""
    return _with_store(config, set_, data_dir, format_, lambda settings, store: _repaired(settings, store, format_))


def _with_store(
    config: Sequence[Path],
    set_: Sequence[str],
    data_dir: Path | None,
    format_: str,
    do: Callable[[Settings, Store], int],
) -> int:
    """Do something with a store that nobody else has open."""
    check_format(format_)
    settings = load_settings(config, set_, data_dir)
    if not embeds_store(settings):
        raise WrongUsage(ON_A_SERVER)
    folder = settings.service.data_dir
    if not _sink(settings).dsn.get_secret_value() and not (folder / "store").exists():
        print_rows(format_, [], make_table(NOT_THERE))
        return 0
    with _locked(folder):
        store = open_store(settings, shares(settings.service.memory_limit_mib * MIB).store)
        try:
            return do(settings, store)
        finally:
            store.close()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = DataDirLock(folder)
    try:
        lock.acquire()
    except DataDirBusyError as error:
        raise WrongUsage(f"{error}; {WHILE_RUNNING}") from error
    try:
        yield
    finally:
        lock.release()


def _told(found: Sequence[TableFound], format_: str) -> int:
    table = make_table("table", "parts", "rows", "damaged", "rows in them", "readable", "mended", "rows back", "lost")
    for one in found:
        mended: list[Cell] = [f"{one.mended:,}", f"{one.brought_back:,}", _count(one.lost)]
        damaged: list[Cell] = [(f"{one.damaged:,}", "bold" if one.damaged else ""), _count(one.damaged_rows)]
        add_row(table, one.table, f"{one.parts:,}", f"{one.rows:,}", *damaged, f"{one.readable:,}", *mended)
    print_rows(format_, [_plain(one) for one in found], table)
    if format_ == TABLE:
        sys.stderr.writelines(f"{one.table}: {reason}\n" for one in found for reason in one.reasons)
    sound = all(one.is_sound for one in found)
    sys.stderr.write("the store is whole\n" if sound else f"{_verdict(found)}: run `tracemend store repair`\n")
    return int(not sound)


def _verdict(found: Sequence[TableFound]) -> str:
    if any(one.damaged for one in found):
        return "the store is damaged; rows that are not readable may still be on the bus"
    return "damaged parts were mended while tracemend ran, and wait to be put away"


def _repaired(settings: Settings, store: Store, format_: str) -> int:
    from sinks.damaged_parts import set_aside_parts
    from sinks.rescue import told_before
    from sinks.store_check import mend, put_away

    store.migrate()
    with _replay(settings) as replay:
        for _ in mend(store, replay):
            pass  # what became of each stands beside it, and is told with what was mended before
    done = list(told_before(store))
    moved = put_away(set_aside_parts(store), settings.service.data_dir / AWAY)
    print_rows(format_, [_plain(one) for one in done], _table_of(done))
    if not done:
        sys.stderr.write("the store is whole: nothing to repair\n")
        return 0
    whole = all(one.lost == 0 for one in done)
    verdict = "every row was brought back" if whole else "not every row could be brought back"
    sys.stderr.write(
        f"{verdict}; {len(moved)} damaged part(s) were put away in {settings.service.data_dir / AWAY}: "
        "nothing reads them, delete them when you like\n"
    )
    return int(not whole)


def _table_of(done: Sequence[Rescued]) -> Table:
    table = make_table("table", "damaged parts", "rows in them", "read from them", "found again", "lost (at most)")
    for one in done:
        lost = (_count(one.lost), "bold" if one.lost != 0 else "")
        add_row(table, one.table, str(one.parts), _count(one.rows), f"{one.from_parts:,}", f"{one.from_bus:,}", lost)
    return table


@contextmanager
def _replay(settings: Settings) -> Iterator[Replay | None]:
    """Open what the bus still holds: the embedded log, where there is one."""
    from collector.opened_bus import open_bus
    from sinks.clickhouse import ClickHouseSink
    from sinks.replay import Replay

    if settings.bus.kafka is not None or not (settings.service.data_dir / "bus").exists():
        yield None
        return
    bus = open_bus(settings)
    try:
        days = layout(_sink(settings)).days
        yield Replay(bus, ClickHouseSink.group, settings.bus.repeat_window_seconds, days)  # type: ignore[arg-type]  # the embedded one
    finally:
        bus.close()


def _sink(settings: Settings) -> ClickHouseSinkSettings:
    stores = (sink for sink in settings.sinks.values() if isinstance(sink, ClickHouseSinkSettings))
    return next(stores, ClickHouseSinkSettings())


def _plain(found: TableFound | Rescued) -> dict[str, object]:
    import msgspec

    return dict(msgspec.structs.asdict(found))


def _count(rows: int | None) -> str:
    return UNKNOWN if rows is None else f"{rows:,}"
