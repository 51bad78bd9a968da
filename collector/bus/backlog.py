"""How much of what senders brought is still to be read: an estimate, from where groups are and what partitions hold."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from pathlib import Path

from collector.bus import embedded_log as log
from schemas.topics import OTLP_LOGS, OTLP_SPANS

BROUGHT = (OTLP_SPANS, OTLP_LOGS)
"""Topics whose unread records are the backlog; what is unread of all others follows from them."""
_PLACES = (
    "SELECT heads.topic, heads.part, heads.next_offset, heads.bytes, offsets.grp, offsets.next_offset "
    "FROM heads JOIN offsets USING (topic, part) WHERE heads.topic IN (?, ?)"
)


class Backlog:
    """Looks at a log on a connection of its own, opened when first asked; for one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def unread_bytes(self, groups: Collection[str]) -> int:
        """Estimate what the slowest of these groups has still to read, as it is stored; 0 where the log is not read."""
        if self._connection is None:
            self._connection = log.connect(self._path)
        try:
            return _unread(self._connection, groups)
        except sqlite3.Error:
            return 0  # what is wrong with the log shows where it is written

    def close(self) -> None:
        """Let go of the log."""
        if self._connection is not None:
            self._connection.close()


def _unread(connection: sqlite3.Connection, groups: Collection[str]) -> int:
    most: dict[tuple[str, int], float] = {}
    for topic, part, end, size, group, read_to in connection.execute(_PLACES, BROUGHT).fetchall():
        if group in groups and read_to < end:
            share = (end - read_to) / max(1, end - _first_offset(connection, topic, part))
            most[topic, part] = max(most.get((topic, part), 0.0), min(1.0, share) * size)
    return int(sum(most.values()))


def _first_offset(connection: sqlite3.Connection, topic: str, partition: int) -> int:
    table = log.table(topic, partition)
    row = connection.execute(f"SELECT min(offset) FROM {table}").fetchone()  # noqa: S608  # table() checks the name
    return int(row[0] or 0)
