"""`tracemend bus check` and `tracemend bus repair`: is the embedded log whole, and what of it can be saved."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from collector.bus.contents import Held, contents_of
from collector.bus.salvage import NothingReadable, Saved, damage_in, salvage
from collector.cli.configuration import load_settings
from collector.cli.output import TABLE, add_row, check_format, make_table, print_rows
from collector.running import DataDirBusyError, DataDirLock

UNREADABLE = "not readable"


def check(config: Sequence[Path], set_: Sequence[str], data_dir: Path | None, format_: str) -> int:
    """Print what is wrong with the log and what it holds; returns 0 where nothing is wrong, 1 where it is damaged."""
    check_format(format_)
    path = _log_of(config, set_, data_dir)
    found, held = (damage_in(path), contents_of(path)) if path.exists() else ([], [])
    if format_ != TABLE:
        print_rows(format_, [*({"damage": line} for line in found), *(one._asdict() for one in held)], make_table())
    if found and format_ == TABLE:
        print_rows(format_, [], _table_of_damage(found))
    if held and format_ == TABLE:
        print_rows(format_, [], _table_of_contents(held))
    verdict = "is damaged: run `tracemend bus repair`" if found else "is whole" if path.exists() else "is not there yet"
    sys.stderr.write(f"{path} {verdict}\n")
    return int(bool(found))


def _table_of_damage(found: Sequence[str]) -> Table:
    table = make_table("what is wrong")
    for line in found:
        add_row(table, line)
    return table


def _table_of_contents(held: Sequence[Held]) -> Table:
    table = make_table("topic", "partitions", "records", "bytes", "oldest", "newest")
    for one in held:
        counts = [UNREADABLE if count is None else f"{count:,}" for count in (one.records, one.bytes)]
        add_row(table, one.topic, str(one.partitions), *counts, _when(one.oldest_ns), _when(one.newest_ns))
    return table


def _when(at_ns: int | None) -> str:
    return "" if at_ns is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_ns // 10**9))


def repair(config: Sequence[Path], set_: Sequence[str], data_dir: Path | None, format_: str) -> int:
    """Save what can be read of a damaged log into a new one; returns 0 where that is all of it, else 1."""
    check_format(format_)
    path = _log_of(config, set_, data_dir)
    lock = DataDirLock(path.parents[1])
    try:
        lock.acquire()
    except DataDirBusyError as error:
        sys.stderr.write(f"tracemend: {error}\n")
        return 1
    try:
        return _repaired(path, format_)
    finally:
        lock.release()


def _repaired(path: Path, format_: str) -> int:
    if not path.exists() or not damage_in(path):
        sys.stderr.write(f"{path} is whole: nothing to repair\n")
        return 0
    try:
        done = salvage(path)
    except NothingReadable as error:
        sys.stderr.write(f"tracemend: {path}: {error}; it was left as it is. Move it away to begin with an empty log\n")
        return 1
    told = [one for one in done.tables if one.saved or one.lost != 0]
    table = make_table("what", "saved", "not readable")
    for one in told:
        add_row(table, one.table, str(one.saved), (_lost(one), "bold" if one.lost != 0 else ""))
    print_rows(format_, [one._asdict() for one in told], table)
    verdict = "every row was saved" if done.is_whole else "not every row could be saved"
    sys.stderr.write(f"{verdict}; the damaged file is kept as {done.aside}\n")
    return int(not done.is_whole)


def _lost(one: Saved) -> str:
    return "some, nobody knows how many" if one.lost is None else str(one.lost)


def _log_of(config: Sequence[Path], set_: Sequence[str], data_dir: Path | None) -> Path:
    return load_settings(config, set_, data_dir).service.data_dir / "bus" / "bus.sqlite"
