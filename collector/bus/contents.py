"""What a log holds, topic by topic, read beside whoever writes it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from collector.bus import embedded_log as log

COUNTS = "SELECT count(*), coalesce(sum(length(value)), 0), min(append_ns), max(append_ns) FROM {table}"


class Held(NamedTuple):
    """What a topic holds: records, bytes as they are stored, and when the first and last came (Unix ns).

    None where that cannot be read, and for the times of a topic that holds nothing.
    """

    topic: str
    partitions: int
    records: int | None
    bytes: int | None
    oldest_ns: int | None
    newest_ns: int | None


def contents_of(path: Path) -> list[Held]:
    """Count what each topic holds; nothing where not even the list of topics can be read."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        rows = connection.execute("SELECT topic, count(*) FROM heads GROUP BY topic ORDER BY topic").fetchall()
        return [_held(connection, str(topic), int(parts)) for topic, parts in rows]
    except sqlite3.DatabaseError:
        return []
    finally:
        connection.close()


def _held(connection: sqlite3.Connection, topic: str, partitions: int) -> Held:
    try:
        counts = list(_counts(connection, topic, partitions))
    except sqlite3.DatabaseError:
        return Held(topic, partitions, None, None, None, None)
    oldest = min((first for _, _, first, _ in counts if first is not None), default=None)
    newest = max((last for _, _, _, last in counts if last is not None), default=None)
    return Held(topic, partitions, sum(one[0] for one in counts), sum(one[1] for one in counts), oldest, newest)


def _counts(
    connection: sqlite3.Connection, topic: str, partitions: int
) -> Iterator[tuple[int, int, int | None, int | None]]:
    for part in range(partitions):
        (row,) = connection.execute(COUNTS.format(table=log.table(topic, part)))
        yield row
