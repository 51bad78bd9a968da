"""Saves what can be read of a damaged log: the old file is set aside, and a new one takes over its readable rows."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from collector.bus import embedded_log as log

MAGIC, HEADER_BYTES = b"SQLite format 3\0", 100
LARGEST_FILE_BYTES = 1 << 40
ROWS_AT_ONCE = 64
LONGEST_JUMP = 1 << 20
"""Offsets that are skipped at most where nothing can be read; beyond it a partition is taken to end."""
SMALL = {"meta": 2, "groups": 2, "offsets": 4, "state": 5}
"""Tables that are copied as a whole, with their columns."""
BESIDE = ("", "-wal", "-shm")


Row = tuple[int, int, str, bytes, int, bytes]
"""A record as it is stored: offset, append time, key, headers, codec, value."""


class Saved(NamedTuple):
    """What became of one table: rows that were taken over, and about how many could not be read."""

    table: str
    saved: int
    lost: int


class Salvage(NamedTuple):
    """What became of a log. `aside` is where the damaged file is now."""

    aside: Path
    tables: list[Saved]


def damage_in(path: Path) -> list[str]:
    """List what SQLite finds wrong with a log; nothing where it is whole."""
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(20)")]
        connection.close()
    except sqlite3.DatabaseError as error:
        return [str(error)]
    return [] if found == ["ok"] else found


def salvage(path: Path, now: float | None = None) -> Salvage:
    """Set a damaged log aside and save what can be read of it; raises OSError where files cannot be moved.

    The old file is kept. A group whose place was lost reads again from the oldest record.
    """
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now if now is not None else time.time()))
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for beside in BESIDE:
        if path.with_name(path.name + beside).exists():
            path.with_name(path.name + beside).rename(aside.with_name(aside.name + beside))
    _fill_up(aside)
    old, new = sqlite3.connect(aside), log.connect(path)
    try:
        tables = list(_copied(old, new))
    finally:
        old.close()
        new.close()
    return Salvage(aside, tables)


def _fill_up(path: Path) -> None:
    """Give a file that was cut off its length back, as empty pages: SQLite reads nothing of one that is too short."""
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
    page, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
    if header.startswith(MAGIC) and path.stat().st_size < page * pages <= LARGEST_FILE_BYTES:
        os.truncate(path, page * pages)


def _copied(old: sqlite3.Connection, new: sqlite3.Connection) -> Iterator[Saved]:
    new.execute("BEGIN IMMEDIATE")
    for table, columns in SMALL.items():
        yield _small(old, new, table, columns)
    heads = _rows(old, "SELECT topic, part, next_offset FROM heads")
    for topic, part, end in heads:
        yield _partition(old, new, str(topic), int(str(part)), int(str(end)))
    new.execute("COMMIT")


def _small(old: sqlite3.Connection, new: sqlite3.Connection, table: str, columns: int) -> Saved:
    marks = ",".join("?" * columns)
    saved = 0
    for row in _rows(old, f"SELECT * FROM {table}"):  # noqa: S608  # one of SMALL
        saved += new.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row).rowcount  # noqa: S608  # as above
    return Saved(table, saved, 0)


def _rows(old: sqlite3.Connection, sql: str) -> list[tuple[object, ...]]:
    """Read rows until one cannot be read."""
    found: list[tuple[object, ...]] = []
    try:
        for row in old.execute(sql):
            found.append(row)  # noqa: PERF402  # what was read before an error is kept
    except sqlite3.DatabaseError:
        return found
    return found


def _partition(old: sqlite3.Connection, new: sqlite3.Connection, topic: str, part: int, end: int) -> Saved:
    log.create_partition(new, topic, part)
    table = log.table(topic, part)
    saved = lost = size = 0
    for rows, skipped in _readable(old, table, end):
        new.executemany(f"INSERT OR IGNORE INTO {table} VALUES (?, ?, ?, ?, ?, ?)", rows)  # noqa: S608  # table() checks
        saved, lost = saved + len(rows), lost + skipped
        size += sum(len(row[5]) for row in rows)
    new.execute(
        "INSERT OR REPLACE INTO heads VALUES (?, ?, ?, ?)",
        (topic, part, end, size),
    )
    return Saved(f"{topic}/{part}", saved, lost)


def _readable(old: sqlite3.Connection, table: str, end: int) -> Iterator[tuple[list[Row], int]]:
    """Read a partition in small pieces, over what cannot be read; gives rows, and how many offsets were skipped."""
    at, jump, count = _first(old, table), 1, ROWS_AT_ONCE
    while at < end and jump <= LONGEST_JUMP:
        sql = f"SELECT * FROM {table} WHERE offset >= ? AND offset < ? ORDER BY offset LIMIT ?"  # noqa: S608  # as above
        try:
            rows = old.execute(sql, (at, end, count)).fetchall()
        except sqlite3.DatabaseError:
            if count > 1:
                count = 1  # up to the row that cannot be read
                continue
            yield [], min(jump, end - at)
            at, jump = at + jump, jump * 2
            continue
        if not rows:
            return
        yield rows, 0
        at, jump = rows[-1][0] + 1, 1
        count = min(ROWS_AT_ONCE, count * 2)
    if at < end:
        yield [], end - at


def _first(old: sqlite3.Connection, table: str) -> int:
    try:
        return int(old.execute(f"SELECT min(offset) FROM {table}").fetchone()[0] or 0)  # noqa: S608  # as above
    except sqlite3.DatabaseError:
        return 0
