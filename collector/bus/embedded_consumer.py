"""One member of a group on the embedded bus: reads on its own connection, commits through the bus's writer thread."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future
from heapq import merge
from pathlib import Path

from collector.bus import embedded_log as log
from collector.bus.embedded_write import Write, Writer
from collector.bus.log_errors import sorted_error
from collector.bus.protocol import Batch, Outgoing, Range, Record, StateChange

LOOK_ANYWAY_SECONDS = 1.0
"""How often to look for what was appended where no wake-up came: who appends may have died before it woke anybody."""


class EmbeddedState:
    """Keyed state of one group, read from the last commit."""

    def __init__(self, connection: sqlite3.Connection, group: str) -> None:
        self._connection = connection
        self._group = group

    def get(self, store: str, key: str) -> bytes | None:
        """Read one key."""
        row = self._connection.execute(
            "SELECT value FROM state WHERE grp = ? AND store = ? AND key = ?", (self._group, store, key)
        ).fetchone()
        return row[0] if row else None

    def scan(self, store: str, prefix: str = "") -> Iterable[tuple[str, bytes]]:
        """Read all keys that begin with a prefix, in key order."""
        return self._connection.execute(
            "SELECT key, value FROM state WHERE grp = ? AND store = ? AND key >= ? AND key < ? ORDER BY key",
            (self._group, store, prefix, prefix + "\U0010ffff"),
        ).fetchall()

    def due(self, store: str, until_ns: int, limit: int) -> Sequence[str]:
        """List keys that are due, earliest first."""
        rows = self._connection.execute(
            "SELECT key FROM state WHERE grp = ? AND store = ? AND due_ns <= ? ORDER BY due_ns LIMIT ?",
            (self._group, store, until_ns, limit),
        )
        return [key for (key,) in rows]

    def count(self, store: str) -> int:
        """Count the keys of a store."""
        row = self._connection.execute(
            "SELECT count(*) FROM state WHERE grp = ? AND store = ?", (self._group, store)
        ).fetchone()
        return int(row[0])


class EmbeddedConsumer:
    """Reads the partitions it is assigned, in the order records were appended."""

    def __init__(
        self,
        bus: Writer,
        group: str,
        epoch: int,
        assigned: Sequence[tuple[str, int]],
        connection: sqlite3.Connection,
        path: Path,
    ) -> None:
        self._path = path
        self._bus = bus
        self._group = group
        self._epoch = epoch
        self._assigned = assigned
        self._connection = connection
        self._positions: dict[tuple[str, int], int] = {}
        self.state = EmbeddedState(connection, group)
        self.rewind()

    def poll(self, max_records: int = 500, max_bytes: int = 8_388_608, timeout_seconds: float = 0.5) -> Batch:
        """Wait for records; see `Consumer.poll`."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            seen, now_ns = self._bus.generation(), self._bus.now_ns()
            records, all_read = self._read(max_records, max_bytes)
            left = deadline - time.monotonic()
            if records or left <= 0:
                latest_ns = records[-1].append_ns if records else now_ns
                # While there is more to read, time is the records' own: deadlines must not overtake the backlog.
                return Batch(records, max(now_ns, latest_ns) if all_read else latest_ns)
            self._bus.wait_for_append(seen, min(left, LOOK_ANYWAY_SECONDS))

    def poll_again(self, ranges: Sequence[Range]) -> Batch:
        """Read exactly these records; see `Consumer.poll_again`."""
        records: list[Record] = []
        for topic, part, first, last in ranges:
            found = log.read(self._connection, topic, part, first, last - first + 1)
            records += (stored.record for stored in found if stored.record.offset <= last)
            self._positions[topic, part] = last + 1
        records.sort(key=lambda record: record.append_ns)
        return Batch(records, self._bus.now_ns())

    def commit(
        self, outputs: Sequence[Outgoing] = (), changes: Sequence[StateChange] = (), offsets: bool = True
    ) -> None:
        """Commit; see `Consumer.commit`."""
        positions = dict(self._positions) if offsets else {}
        moved = {place: offset for place, offset in positions.items() if offset != self._committed.get(place)}
        if not (outputs or changes or moved):
            return
        done: Future[None] = Future()
        self._bus.write(Write(done, outputs, self._group, self._epoch, changes, moved))
        done.result()
        self._committed.update(moved)

    def rewind(self) -> None:
        """Go back to the last commit."""
        self._committed = log.read_offsets(self._connection, self._group)
        self._positions = {place: self._committed.get(place, 0) for place in self._assigned}

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Read on from an offset."""
        self._positions[topic, partition] = offset

    def lag(self) -> Mapping[str, int]:
        """Count per topic the records not yet committed."""
        heads = log.read_heads(self._connection)
        lags: dict[str, int] = {}
        for topic, part in self._assigned:
            behind = heads[topic, part].next_offset - self._committed.get((topic, part), 0)
            lags[topic] = lags.get(topic, 0) + behind
        return lags

    def close(self) -> None:
        """Close the reading connection."""
        self._connection.close()

    def _read(self, max_records: int, max_bytes: int) -> tuple[list[Record], bool]:
        """Read what is there, oldest first over all partitions; also say whether that was all."""
        sources = [self._unread(topic, part, max_records) for topic, part in self._assigned]
        try:
            return self._take(merge(*sources, key=_append_ns), max_records, max_bytes)
        except sqlite3.Error as error:
            raise sorted_error(error, self._path) from error
        finally:
            for source in sources:
                source.close()

    def _unread(self, topic: str, part: int, limit: int) -> Generator[Record]:
        at = self._positions[topic, part]
        for stored in log.read(self._connection, topic, part, at, limit + 1):
            yield stored.record

    def _take(self, unread: Iterable[Record], max_records: int, max_bytes: int) -> tuple[list[Record], bool]:
        taken: list[Record] = []
        size = 0
        for record in unread:
            if taken and (len(taken) >= max_records or size >= max_bytes):
                return taken, False
            taken.append(record)
            self._positions[record.topic, record.partition] = record.offset + 1
            size += len(record.value)
        return taken, True


def _append_ns(record: Record) -> int:
    return record.append_ns
