"""How much of what senders brought is still to be read: an estimate, from where groups are and what partitions hold."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from collector.bus import embedded_log as log
from collector.bus.drain_rate import DrainRate
from schemas.topics import OTLP_LOGS, OTLP_SPANS

BROUGHT = (OTLP_SPANS, OTLP_LOGS)
"""Topics whose unread records are the backlog; what is unread of all others follows from them."""
_PLACES = (
    "SELECT heads.topic, heads.part, heads.next_offset, heads.bytes, offsets.grp, offsets.next_offset "
    "FROM heads JOIN offsets USING (topic, part) WHERE heads.topic IN (?, ?)"
)

Place = tuple[str, int]


class _Reading(NamedTuple):
    """Where the slowest group is in a partition: the next offset, the records behind it, and bytes a record takes."""

    place: Place
    read_to: int
    behind: int
    record_bytes: float


class Backlog:
    """Looks at a log on a connection of its own, opened when first asked; for one thread."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._read_to: dict[Place, int] = {}
        self._drain = DrainRate()

    def unread_bytes(self, groups: Collection[str]) -> int:
        """Estimate what the slowest of these groups has still to read, as it is stored; 0 where the log is not read.

        How fast it reads is measured on the way, from one call to the next.
        """
        if self._connection is None:
            self._connection = log.connect(self._path)
        try:
            readings = list(_readings(self._connection, groups))
        except sqlite3.Error:
            return 0  # what is wrong with the log shows where it is written
        unread = sum(one.behind * one.record_bytes for one in readings)
        read = sum((one.read_to - self._read_to.get(one.place, one.read_to)) * one.record_bytes for one in readings)
        self._read_to = {one.place: one.read_to for one in readings}
        self._drain.saw(self._clock(), read, unread)
        return int(unread)

    def drained_bytes_a_second(self) -> float:
        """Say how fast the slowest group reads, as far as that was seen."""
        return self._drain.bytes_a_second()

    def close(self) -> None:
        """Let go of the log."""
        if self._connection is not None:
            self._connection.close()


def _readings(connection: sqlite3.Connection, groups: Collection[str]) -> Iterator[_Reading]:
    slowest: dict[Place, tuple[int, int, int]] = {}
    for topic, part, end, size, group, read_to in connection.execute(_PLACES, BROUGHT).fetchall():
        if group in groups:
            slowest[topic, part] = min(slowest.get((topic, part), (read_to, end, size)), (read_to, end, size))
    for place, (read_to, end, size) in slowest.items():
        first = _first_offset(connection, *place)
        behind = end - max(read_to, first)
        yield _Reading(place, read_to, behind, size / max(1, end - first))


def _first_offset(connection: sqlite3.Connection, topic: str, partition: int) -> int:
    table = log.table(topic, partition)
    row = connection.execute(f"SELECT min(offset) FROM {table}").fetchone()  # noqa: S608  # table() checks the name
    return int(row[0] or 0)
