"""What leaves the embedded log: records that are old, or in the way, once every group has committed them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

from collector.bus import embedded_log as log
from collector.bus.embedded_log import Head
from schemas.topics import Topic

DELETE_AT_ONCE = 2_000
"""Records one round deletes per partition at most, so that a round never holds up writers for long."""


class Kept(NamedTuple):
    """The bytes held after a round, and whether it removed anything."""

    held: int
    removed: bool


def retain(
    connection: sqlite3.Connection, topics: Mapping[str, Topic], groups: set[str], now_ns: int, max_bytes: int
) -> Kept:
    """Delete what need not be kept. Runs inside the caller's transaction."""
    heads = log.read_heads(connection)
    held = sum(head.size for head in heads.values())
    changed: dict[tuple[str, int], Head] = {}
    for (name, part), head in heads.items():
        topic = topics.get(name)
        if topic is None:
            continue
        freed = (
            _compact(connection, name, part)
            if topic.compacted
            else _expire(connection, topic, part, groups, now_ns, held > max_bytes)
        )
        if freed:
            changed[name, part] = Head(head.next_offset, max(0, head.size - freed))
            held -= freed
    log.write_heads(connection, changed)
    return Kept(held, bool(changed))


def _expire(
    connection: sqlite3.Connection, topic: Topic, part: int, groups: set[str], now_ns: int, crowded: bool
) -> int:
    """Delete the oldest records that every reader has committed: those past their age, or any while space is short."""
    table = log.table(topic.name, part)
    read_by_all = _read_by_all(connection, topic.name, part, groups)
    oldest_kept_ns = now_ns if crowded and read_by_all is not None else now_ns - topic.retention_seconds * 1_000_000_000
    limit = read_by_all if read_by_all is not None else 2**62
    rows = connection.execute(
        f"SELECT offset, append_ns, length(value) FROM {table} WHERE offset < ? ORDER BY offset LIMIT ?",  # noqa: S608  # table() checks the name
        (limit, DELETE_AT_ONCE),
    ).fetchall()
    gone = [(offset, size) for offset, append_ns, size in rows if append_ns < oldest_kept_ns]
    if not gone:
        return 0
    connection.execute(f"DELETE FROM {table} WHERE offset <= ?", (gone[-1][0],))  # noqa: S608  # as above
    return sum(size for _, size in gone)


def _read_by_all(connection: sqlite3.Connection, topic: str, part: int, groups: set[str]) -> int | None:
    """Say up to which offset every group that reads the topic has committed; None where nobody reads it."""
    rows = connection.execute("SELECT grp, next_offset FROM offsets WHERE topic = ? AND part = ?", (topic, part))
    return min((offset for group, offset in rows if group in groups), default=None)


def _compact(connection: sqlite3.Connection, topic: str, part: int) -> int:
    """Keep the last record of each key."""
    table = log.table(topic, part)
    stale = f"offset NOT IN (SELECT max(offset) FROM {table} GROUP BY key)"  # noqa: S608  # as above
    row = connection.execute(f"SELECT coalesce(sum(length(value)), 0) FROM {table} WHERE {stale}").fetchone()  # noqa: S608
    connection.execute(f"DELETE FROM {table} WHERE {stale}")  # noqa: S608
    return int(row[0])
