"""Reads tables of a damaged log as far as they can be read, and tells how far that was."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

ROWS_AT_ONCE = 64
LONGEST_JUMP = 1 << 20
"""Offsets that are skipped at most where nothing can be read; beyond it a partition is taken to end."""

Row = tuple[int, int, str, bytes, int, bytes]
"""A record as it is stored: offset, append time, key, headers, codec, value."""


def until_unreadable(old: sqlite3.Connection, sql: str) -> tuple[list[tuple[object, ...]], bool]:
    """Read rows until one cannot be read; also say whether those were all."""
    found: list[tuple[object, ...]] = []
    try:
        for row in old.execute(sql):
            found.append(row)  # noqa: PERF402  # what was read before an error is kept
    except sqlite3.DatabaseError:
        return found, False
    return found, True


def readable(old: sqlite3.Connection, table: str, end: int) -> Iterator[tuple[list[Row], int | None]]:
    """Read a partition up to an offset, over what cannot be read.

    Gives rows, and how many offsets were skipped: None where nobody knows how many records those held.
    """
    at, known = _first_of(old, table)
    if not known:
        yield [], None
    jump, count = 1, ROWS_AT_ONCE
    while at < end and jump <= LONGEST_JUMP:
        sql = f"SELECT * FROM {table} WHERE offset >= ? AND offset < ? ORDER BY offset LIMIT ?"  # noqa: S608  # a table() name
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
            return  # read without an error, so nothing was there: it had expired, or a newer record replaced it
        yield rows, 0
        at, jump = rows[-1][0] + 1, 1
        count = min(ROWS_AT_ONCE, count * 2)
    if at < end:
        yield [], end - at


def last_of(old: sqlite3.Connection, table: str) -> int:
    """Find a partition's last offset; -1 where there is none, or none that can be read."""
    try:
        row = old.execute(f"SELECT max(offset) FROM {table}").fetchone()  # noqa: S608  # as above
    except sqlite3.DatabaseError:
        return -1
    return int(row[0]) if row[0] is not None else -1


def _first_of(old: sqlite3.Connection, table: str) -> tuple[int, bool]:
    try:
        row = old.execute(f"SELECT min(offset) FROM {table}").fetchone()  # noqa: S608  # as above
    except sqlite3.DatabaseError:
        return 0, False
    return int(row[0] or 0), True
