"""How the embedded log might keep its records: blobs in SQLite or segment files beside it, and how they are packed.

The figures behind the decision in `collector/bus/README.md`. One thread, one fsynced commit for every four requests.
"""

from __future__ import annotations

import os
import resource
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import zstandard
from cramjam import lz4

from collector.bus import embedded_log as log

from . import Figure
from .span_requests import SpanRequests

SPANS, GROUP, RUNS = 40_000, 4, 3
Pack = Callable[[bytes], bytes]
Write = Callable[[sqlite3.Connection, int, Sequence[bytes]], None]
PACKS: dict[str, Pack] = {
    "as they are": bytes,
    "zstd level 1": zstandard.ZstdCompressor(level=1).compress,
    "lz4": lambda body: bytes(lz4.compress_block(body)),
}


def run() -> list[Figure]:
    """Measure both layouts with every way to pack, for small and large requests."""
    found = []
    for batch in (100, 500):
        requests = [SpanRequests(batch, 20).body(number) for number in range(SPANS // batch)]
        for packed, pack in PACKS.items():
            for layout, write in (("SQLite blobs", _blobs), ("segment files", _segments)):
                micros = min(_micros_a_span(requests, pack, write) for _ in range(RUNS))
                found.append((f"{layout}, {packed}, {batch} spans of 1 kB a record", micros, "CPU µs/span"))
    return found


def _micros_a_span(requests: Sequence[bytes], pack: Pack, write: Write) -> float:
    with tempfile.TemporaryDirectory() as folder:
        connection = log.connect(Path(folder) / "log.sqlite")
        connection.execute("CREATE TABLE record (offset INTEGER PRIMARY KEY, value, at INTEGER, size INTEGER)")
        segment = os.open(Path(folder) / "segment", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        begun = _cpu_seconds()
        for at in range(0, len(requests), GROUP):
            connection.execute("BEGIN IMMEDIATE")
            write(connection, segment, [pack(body) for body in requests[at : at + GROUP]])
            connection.execute("COMMIT")
        micros = (_cpu_seconds() - begun) / SPANS * 1e6
        os.close(segment)
        connection.close()
        return micros


def _blobs(connection: sqlite3.Connection, _segment: int, values: Sequence[bytes]) -> None:
    connection.executemany("INSERT INTO record (value) VALUES (?)", [(value,) for value in values])


def _segments(connection: sqlite3.Connection, segment: int, values: Sequence[bytes]) -> None:
    at = os.fstat(segment).st_size
    os.writev(segment, values)
    os.fdatasync(segment)
    ends = count(at)
    connection.executemany(
        "INSERT INTO record (at, size) VALUES (?, ?)", [(next(ends), len(value)) for value in values]
    )


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
