"""Saves what can be read of a damaged log into a new one, and says what cannot; the damaged file stays as it was.

It works on a copy. The new log takes the old one's place only when it is whole and on the disk, so that a repair that
is killed has changed nothing. Tables are found by the database's own list of them, not by what we wrote about them.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from collector.bus import embedded_log as log
from collector.bus.damaged_rows import last_of, readable, until_unreadable

MAGIC, HEADER_BYTES = b"SQLite format 3\0", 100
LARGEST_FILE_BYTES = 1 << 40
SMALL = {"meta": 2, "groups": 2, "offsets": 4, "state": 5}
"""Tables that are copied as a whole, with their columns."""
PARTITION = re.compile(r"log_(.+)_(\d+)\Z")
WAL, SHM = "-wal", "-shm"


class NothingReadable(Exception):  # noqa: N818  # named by what the caller should know
    """Not even the list of tables can be read; nothing was changed."""


class Saved(NamedTuple):
    """What became of one table: rows that were taken over, and rows that could not be read (None: nobody knows)."""

    table: str
    saved: int
    lost: int | None


class Salvage(NamedTuple):
    """What became of a log. `aside` is where the damaged file is now."""

    aside: Path
    tables: list[Saved]

    @property
    def is_whole(self) -> bool:
        """Say whether every row was taken over."""
        return all(one.lost == 0 for one in self.tables)


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
    """Put a new log in a damaged one's place; raises NothingReadable, or OSError where files cannot be written.

    A group whose place was lost reads again from the oldest record.
    """
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now if now is not None else time.time()))
    aside, copy, fresh = (_beside(path, f".{what}-{stamp}") for what in ("damaged", "copy", "new"))
    try:
        tables = _saved(path, copy, fresh)
        _take_the_place(path, aside, fresh)
    finally:
        for leftover in (copy, fresh):
            for ending in ("", WAL, SHM):
                _beside(leftover, ending).unlink(missing_ok=True)
    return Salvage(aside, tables)


def _saved(path: Path, copy: Path, fresh: Path) -> list[Saved]:
    shutil.copyfile(path, copy)
    if _beside(path, WAL).exists():
        shutil.copyfile(_beside(path, WAL), _beside(copy, WAL))
    new = log.connect(fresh)
    new.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    _mend_header(copy, fresh)
    old = sqlite3.connect(copy)
    try:
        new.execute("BEGIN IMMEDIATE")
        tables = list(_copied(old, new))
        new.execute("COMMIT")
        new.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        old.close()
        new.close()
    return tables


def _take_the_place(path: Path, aside: Path, fresh: Path) -> None:
    """Swap the files: the old write-ahead log goes first, or SQLite would play it into the new log."""
    for ending in (WAL, SHM):
        if _beside(path, ending).exists():
            _beside(path, ending).rename(_beside(aside, ending))
    os.link(path, aside)
    fresh.replace(path)


def _mend_header(copy: Path, whole: Path) -> None:
    """Give a copy the header and the length back without which SQLite reads nothing of it."""
    with copy.open("r+b") as file, whole.open("rb") as pattern:
        header = file.read(HEADER_BYTES)
        if not header.startswith(MAGIC) or int.from_bytes(header[16:18], "big") != log.PAGE_BYTES:
            pages = -(-copy.stat().st_size // log.PAGE_BYTES)
            known = bytearray(pattern.read(HEADER_BYTES))
            known[28:32] = pages.to_bytes(4, "big")
            known[32:40] = bytes(8)  # no free pages that anybody knows of
            known[92:96] = known[24:28]  # the page count is valid for this change
            file.seek(0)
            file.write(known)
            header = bytes(known)
        length = log.PAGE_BYTES * int.from_bytes(header[28:32], "big")
        if copy.stat().st_size < length <= LARGEST_FILE_BYTES:
            file.truncate(length)


def _copied(old: sqlite3.Connection, new: sqlite3.Connection) -> Iterator[Saved]:
    names, complete = until_unreadable(old, "SELECT name FROM sqlite_master WHERE type = 'table'")
    if not names:
        raise NothingReadable("not even the list of tables can be read")
    if not complete:
        yield Saved("(list of tables)", len(names), None)
    small = [_small(old, new, table, columns) for table, columns in SMALL.items()]
    yield from small
    heads, heads_complete = until_unreadable(old, "SELECT topic, part, next_offset FROM heads")
    yield Saved("heads", len(heads), 0 if heads_complete else None)
    ends = {(str(topic), int(str(part))): int(str(end)) for topic, part, end in heads}
    for topic, part in sorted(_partitions(str(name) for (name,) in names) | ends.keys()):
        yield _partition(old, new, topic, part, ends.get((topic, part)))


def _partitions(tables: Iterable[str]) -> set[tuple[str, int]]:
    matches = (PARTITION.match(table) for table in tables)
    return {(match[1], int(match[2])) for match in matches if match is not None}


def _small(old: sqlite3.Connection, new: sqlite3.Connection, table: str, columns: int) -> Saved:
    marks = ",".join("?" * columns)
    rows, complete = until_unreadable(old, f"SELECT * FROM {table}")  # noqa: S608  # one of SMALL
    saved = sum(
        new.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row).rowcount  # noqa: S608  # as above
        for row in rows
    )
    return Saved(table, saved, 0 if complete else None)


def _partition(old: sqlite3.Connection, new: sqlite3.Connection, topic: str, part: int, end: int | None) -> Saved:
    """Copy a partition; one whose end nobody wrote down ends behind its last record, and behind what groups read."""
    log.create_partition(new, topic, part)
    table = log.table(topic, part)
    known_end = end if end is not None else max(last_of(old, table) + 1, _read_to(new, topic, part))
    saved, size, last = 0, 0, -1
    lost: int | None = 0
    for rows, skipped in readable(old, table, known_end):
        new.executemany(f"INSERT OR IGNORE INTO {table} VALUES (?, ?, ?, ?, ?, ?)", rows)  # noqa: S608  # table() checks
        saved, size = saved + len(rows), size + sum(len(row[5]) for row in rows)
        last = rows[-1][0] if rows else last
        lost = None if lost is None or skipped is None else lost + skipped
    new.execute("UPDATE heads SET next_offset = ?, bytes = ? WHERE topic = ? AND part = ?",
                (max(known_end, last + 1), size, topic, part))  # fmt: skip
    return Saved(f"{topic}/{part}", saved, lost if end is not None else None)


def _read_to(new: sqlite3.Connection, topic: str, part: int) -> int:
    row = new.execute("SELECT max(next_offset) FROM offsets WHERE topic = ? AND part = ?", (topic, part)).fetchone()
    return int(row[0] or 0)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
