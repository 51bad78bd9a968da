"""How commands find the running pipeline of a data dir: a lock that lives as long as it, and a file with its doors."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from collector.bus.writable_folder import check_writable, make_writable

LOCK_TRIES = 20
LOCK_PAUSE_SECONDS = 0.05


class DataDirBusyError(RuntimeError):
    """Another pipeline runs on the data dir."""


class RunningInfo(msgspec.Struct):
    """A running pipeline; addresses are host:port, empty where a door is closed.

    `processes` are the pids of those beside the first one, by what they run; each may be killed and comes again.
    """

    pid: int
    started_at: float
    grpc: str = ""
    http: str = ""
    metrics: str = ""
    clickhouse_http: str = ""
    processes: dict[str, int] = {}


class DataDirLock:
    """The right to run on a data dir; released by the kernel when its process dies, however it dies.

    Processes that inherit it (`descriptor`) hold it too: nobody else may begin while one of them is left.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "lock"
        self._file: IO[bytes] | None = None

    def acquire(self) -> None:
        """Take the lock, making the data dir where it is missing; raises DataDirBusyError or FolderUnusable."""
        make_writable(self._path.parent)
        check_writable([self._path])
        _close_to_others(self._path.parent)
        file = self._path.open("ab")
        for _ in range(LOCK_TRIES):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(
                    LOCK_PAUSE_SECONDS
                )  # a command may be looking, or a killed pipeline's last process be on its way out
            else:
                self._file = file
                return
        file.close()
        raise DataDirBusyError(f"another tracemend runs on {self._path.parent}: stop it, or choose another --data-dir")

    @property
    def descriptor(self) -> int:
        """Give what a process has to inherit to hold the lock too."""
        if self._file is None:
            raise RuntimeError("the lock is not held")
        return self._file.fileno()

    def release(self) -> None:
        """Give the lock back."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _close_to_others(folder: Path) -> None:
    """Let nobody else look into the data dir; of a folder that belongs to somebody else that is theirs to decide."""
    with suppress(PermissionError):
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) & ~0o077)


def write_running(data_dir: Path, info: RunningInfo) -> None:
    """Say where the pipeline can be reached; readers see all of it or nothing."""
    path = data_dir / "running.json"
    fresh = data_dir / "running.json.new"
    fresh.write_bytes(msgspec.json.encode(info))
    fresh.replace(path)


def read_running(data_dir: Path) -> RunningInfo | None:
    """Find the running pipeline of a data dir; None where there is none, also where one died without a word."""
    try:
        info = msgspec.json.decode((data_dir / "running.json").read_bytes(), type=RunningInfo)
    except (OSError, msgspec.DecodeError):
        return None
    return info if _is_locked(data_dir) and _lives(info.pid) else None


def _is_locked(data_dir: Path) -> bool:
    try:
        with (data_dir / "lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
