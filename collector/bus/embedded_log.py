"""The tables of the embedded bus and the statements on them; every function works on one open connection.

One table per topic and partition, whose primary key is the offset, so that an append is an append to a b-tree
and a read is a range scan. Values of some size are stored compressed (lz4; README.md says why).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec
from cramjam import lz4, zstd

from collector.bus.protocol import Outgoing, Record, StateChange

COMPRESS_FROM_BYTES = 512
PAGE_BYTES = 8_192
RAW, ZSTD, LZ4 = range(3)
"""How a value is stored; zstd by versions before, whose records are still read."""
BUSY_SECONDS = 30.0
FIRST_STATE_VERSION = 1

STATE_SCHEMA = """
CREATE TABLE IF NOT EXISTS state (
    grp TEXT, store TEXT, key TEXT, value BLOB NOT NULL, due_ns INTEGER, PRIMARY KEY (grp, store, key)
);
CREATE INDEX IF NOT EXISTS state_due ON state (grp, store, due_ns) WHERE due_ns IS NOT NULL;
"""
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS heads (
    topic TEXT, part INTEGER, next_offset INTEGER NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (topic, part)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS groups (grp TEXT PRIMARY KEY, epoch INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS offsets (
    grp TEXT, topic TEXT, part INTEGER, next_offset INTEGER NOT NULL, PRIMARY KEY (grp, topic, part)
) WITHOUT ROWID;
{STATE_SCHEMA}"""


_UNPACK: Mapping[int, Callable[[bytes], bytes]] = {
    RAW: bytes,
    ZSTD: lambda value: bytes(zstd.decompress(value)),
    LZ4: lambda value: bytes(lz4.decompress_block(value)),
}


class Head(NamedTuple):
    """Where a partition ends: the next offset to be written, and the bytes it holds."""

    next_offset: int
    size: int


class Packed(NamedTuple):
    """A record as it is stored."""

    place: tuple[str, int]
    key: str
    headers: bytes | None
    codec: int
    value: bytes


class Stored(NamedTuple):
    """A record read back, and the bytes it takes in the log."""

    record: Record
    size: int


_headers_encoder = msgspec.msgpack.Encoder()
_headers_decoder = msgspec.msgpack.Decoder(dict[str, bytes])


def connect(path: Path, fsync: bool = True) -> sqlite3.Connection:
    """Open the log, creating its tables where they are missing. Safe with several processes at a time."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={'FULL' if fsync else 'NORMAL'}")
    connection.execute("PRAGMA wal_autocheckpoint=4000")
    connection.executescript(_SCHEMA)
    return connection


@cache
def table(topic: str, partition: int) -> str:
    """Name the table of a partition; topics are named by us, never by a sender."""
    if not topic.replace("_", "").replace("-", "").replace(".", "").isalnum():
        raise ValueError(f"not a topic name: {topic!r}")
    return f'"log_{topic}_{partition}"'


def create_topic(connection: sqlite3.Connection, topic: str, partitions: int) -> int:
    """Make sure a topic exists and return its number of partitions, which is fixed for its life."""
    row = connection.execute("SELECT count(*) FROM heads WHERE topic = ?", (topic,)).fetchone()
    existing = int(row[0])
    for partition in range(0 if existing else partitions):
        create_partition(connection, topic, partition)
    return existing or partitions


def create_partition(connection: sqlite3.Connection, topic: str, partition: int) -> None:
    """Make sure a partition exists, empty where it is new."""
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {table(topic, partition)} (offset INTEGER PRIMARY KEY, "
        "append_ns INTEGER NOT NULL, key TEXT NOT NULL, headers BLOB, codec INTEGER NOT NULL, value BLOB NOT NULL)"
    )
    connection.execute("INSERT OR IGNORE INTO heads VALUES (?, ?, 0, 0)", (topic, partition))


def read_heads(connection: sqlite3.Connection) -> dict[tuple[str, int], Head]:
    """Read where every partition ends."""
    rows = connection.execute("SELECT topic, part, next_offset, bytes FROM heads")
    return {(topic, part): Head(next_offset, size) for topic, part, next_offset, size in rows}


def read_head(connection: sqlite3.Connection, place: tuple[str, int]) -> Head:
    """Read where one partition ends."""
    return Head(
        *connection.execute("SELECT next_offset, bytes FROM heads WHERE topic = ? AND part = ?", place).fetchone()
    )


def held_bytes(connection: sqlite3.Connection) -> int:
    """Sum up what all partitions hold."""
    return int(connection.execute("SELECT coalesce(sum(bytes), 0) FROM heads").fetchone()[0])


def pack(record: Outgoing, partition: int) -> Packed:
    """Make of a record what is stored; apart from `append`, so that nobody waits for it with the log locked."""
    codec, value = RAW, record.value
    if len(value) >= COMPRESS_FROM_BYTES:
        smaller = bytes(lz4.compress_block(value))
        if len(smaller) < len(value):
            codec, value = LZ4, smaller
    headers = _headers_encoder.encode(dict(record.headers)) if record.headers else None
    return Packed((record.topic, partition), record.key, headers, codec, value)


def append(connection: sqlite3.Connection, packed: Packed, offset: int, append_ns: int) -> None:
    """Write one record at an offset."""
    connection.execute(
        f"INSERT INTO {table(*packed.place)} VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608  # table() checks the name
        (offset, append_ns, packed.key, packed.headers, packed.codec, packed.value),
    )


def write_heads(connection: sqlite3.Connection, heads: Mapping[tuple[str, int], Head]) -> None:
    """Write where partitions end now."""
    connection.executemany(
        "UPDATE heads SET next_offset = ?, bytes = ? WHERE topic = ? AND part = ?",
        [(head.next_offset, head.size, topic, part) for (topic, part), head in heads.items()],
    )


def read(
    connection: sqlite3.Connection,
    topic: str,
    partition: int,
    offset: int,
    max_records: int,
) -> Iterable[Stored]:
    """Read records from an offset on, in order."""
    rows = connection.execute(
        f"SELECT offset, append_ns, key, headers, codec, value FROM {table(topic, partition)} "  # noqa: S608  # as above
        "WHERE offset >= ? ORDER BY offset LIMIT ?",
        (offset, max_records),
    )
    for at, append_ns, key, headers, codec, value in rows:
        plain = _UNPACK[codec](value)
        parsed = _headers_decoder.decode(headers) if headers else {}
        yield Stored(Record(topic, partition, at, key, plain, parsed, append_ns), len(value))


def change_state(connection: sqlite3.Connection, group: str, changes: Sequence[StateChange]) -> None:
    """Apply state changes in their order."""
    for change in changes:
        if change.value is None:
            connection.execute(
                "DELETE FROM state WHERE grp = ? AND store = ? AND key = ?", (group, change.store, change.key)
            )
        else:
            connection.execute(
                "INSERT INTO state VALUES (?, ?, ?, ?, ?) ON CONFLICT (grp, store, key) "
                "DO UPDATE SET value = excluded.value, due_ns = excluded.due_ns",
                (group, change.store, change.key, change.value, change.due_ns),
            )


def read_offsets(connection: sqlite3.Connection, group: str) -> dict[tuple[str, int], int]:
    """Read what a group has committed: the next offset to read, per partition."""
    rows = connection.execute("SELECT topic, part, next_offset FROM offsets WHERE grp = ?", (group,))
    return {(topic, part): next_offset for topic, part, next_offset in rows}


def begin_offsets(connection: sqlite3.Connection, group: str, places: Sequence[tuple[str, int]]) -> None:
    """Start a group at the oldest record where it has committed nothing yet; from then on retention waits for it."""
    connection.executemany(
        "INSERT OR IGNORE INTO offsets VALUES (?, ?, ?, 0)", [(group, topic, part) for topic, part in places]
    )


def write_offsets(connection: sqlite3.Connection, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
    """Write what a group has committed."""
    connection.executemany(
        "INSERT OR REPLACE INTO offsets VALUES (?, ?, ?, ?)",
        [(group, topic, part, offset) for (topic, part), offset in offsets.items()],
    )


def epoch(connection: sqlite3.Connection, group: str) -> int:
    """Read which member of a group is the current one."""
    row = connection.execute("SELECT epoch FROM groups WHERE grp = ?", (group,)).fetchone()
    return int(row[0]) if row else 0


def take_over(connection: sqlite3.Connection, group: str) -> int:
    """Make a new member the current one of its group and return its epoch."""
    mine = epoch(connection, group) + 1
    connection.execute("INSERT OR REPLACE INTO groups VALUES (?, ?)", (group, mine))
    return mine


def drop_other_state(connection: sqlite3.Connection, version: int) -> Mapping[str, int]:
    """Keep state only where it is of this version, and note that it is from now on; gives what was dropped, by group.

    A log in which no version is noted was written by the first.
    """
    row = connection.execute("SELECT value FROM meta WHERE key = 'state_version'").fetchone()
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('state_version', ?)", (version,))
    if (int(row[0]) if row else FIRST_STATE_VERSION) == version:
        return {}
    dropped = dict(connection.execute("SELECT grp, count(*) FROM state GROUP BY grp").fetchall())
    connection.execute("DELETE FROM state")
    return dropped


def read_clock(connection: sqlite3.Connection) -> int:
    """Read the latest bus time that was written."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'clock_ns'").fetchone()
    return int(row[0]) if row else 0


def write_clock(connection: sqlite3.Connection, now_ns: int) -> None:
    """Write the latest bus time."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('clock_ns', ?)", (now_ns,))
