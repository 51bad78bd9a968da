"""What is wrong with the log, in words that say what to do, sorted by whether waiting helps.

BusUnavailable
├── (a full disk, a folder that cannot be written, a lock)   later: it goes on by itself once that is mended
└── LogDamaged                                              stop: the file has to be repaired by somebody
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from collector.bus.protocol import BusUnavailable
from collector.bus.writable_folder import FolderUnusable, check_writable, make_writable

RETRY_SECONDS, DAMAGED_RETRY_SECONDS = 5.0, 30.0
DAMAGED = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB"})
ADVICE = {
    "SQLITE_FULL": "the disk is full: make room, and it goes on by itself",
    "SQLITE_READONLY": "it cannot be written: give its owner the right to, and it goes on by itself",
    "SQLITE_PERM": "it cannot be written: give its owner the right to, and it goes on by itself",
    "SQLITE_CANTOPEN": "it cannot be opened: see whether its folder is there and may be written",
    "SQLITE_IOERR": "the disk does not do what it is asked to: see what the system's log says of it",
}
OTHERWISE = "it is tried again"


class LogDamaged(BusUnavailable):
    """The log's file is damaged. What was accepted and can be read is saved by `tracemend bus repair`."""


def sorted_error(error: sqlite3.Error, path: Path) -> BusUnavailable:
    """Say what an error of the log means."""
    code = "_".join(getattr(error, "sqlite_errorname", "").split("_")[:2])
    if code in DAMAGED or (not code and isinstance(error, sqlite3.DatabaseError) and "not a database" in str(error)):
        return LogDamaged(
            f"{path} is damaged ({error}): stop tracemend and run `tracemend bus repair --data-dir {path.parents[1]}`",
            DAMAGED_RETRY_SECONDS,
        )
    return BusUnavailable(f"{path}: {error}; {_in_the_way(path) or ADVICE.get(code, OTHERWISE)}", RETRY_SECONDS)


def _in_the_way(path: Path) -> str:
    """Say why nothing can be written there at all; SQLite calls that an I/O error. Empty where something can."""
    try:
        make_writable(path.parent)
        check_writable([path])
    except FolderUnusable as reason:
        return str(reason)
    return ""
