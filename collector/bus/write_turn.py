"""Whose turn it is to write the embedded log.

SQLite lets one process write at a time and has the others ask again after pauses of up to 100 ms; a lock of the
kernel hands the turn over at once. It is a courtesy among us: SQLite's own lock is what keeps the file whole.
"""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path
from types import TracebackType


class WriteTurn:
    """A turn to take (`with`), among the threads of this process and all processes on a log."""

    def __init__(self, path: Path) -> None:
        self._threads = threading.Lock()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> None:
        self._threads.acquire()
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self._threads.release()

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)
