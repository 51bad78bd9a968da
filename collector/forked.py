"""The first lives of a pipeline's other processes: forked from this one, with all it has imported by then.

A process that starts from nothing spends half a second of processor time on imports; four of them are what a start
waits for. Forking is safe only while there is no other thread, so it comes before the bus, and only on Linux, where the
kernel ends them with their supervisor. A later life starts from nothing (`supervisor.py`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from collector.process_plan import Part, name_of

TASKS = Path("/proc/self/task")
FAILED, STDIN = 1, 0


class Forked:
    """A process that was forked, with what the supervisor needs of `subprocess.Popen`; `link`: our end of its link."""

    def __init__(self, pid: int, link: socket.socket) -> None:
        self.pid = pid
        self.link = link
        self._code: int | None = None
        self._waiting = threading.Lock()

    def poll(self) -> int | None:
        """Say how it ended, None while it lives: its exit status, or minus the signal that killed it."""
        if self._code is None and self._waiting.acquire(blocking=False):  # whoever waits sees its end otherwise
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                self._code = os.waitstatus_to_exitcode(status) if pid else None
            finally:
                self._waiting.release()
        return self._code

    def wait(self) -> int:
        """Wait for its end."""
        with self._waiting:
            if self._code is None:
                self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            return self._code

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def forked(parts: Sequence[Part]) -> list[Forked]:
    """Fork a process for each part, which waits for its assignment; none where that is not safe.

    To be called with the data dir's lock held, which they hold too, and before any thread.
    """
    if not parts or not _may_fork():
        return []
    from collector.child import live

    _flush()
    processes: list[Forked] = []
    supervisor = os.getpid()
    for part in parts:
        ours, theirs = socket.socketpair()
        try:
            pid = os.fork()
        except OSError:  # no more processes for now; one that starts from nothing is tried again
            ours.close()
            theirs.close()
            break
        if pid == 0:
            for other in (ours, *(process.link for process in processes)):
                other.close()
            _live(live, theirs, supervisor, name_of(part))
        theirs.close()
        processes.append(Forked(pid, ours))
    return processes


def _may_fork() -> bool:
    return sys.platform == "linux" and TASKS.is_dir() and len(list(TASKS.iterdir())) == 1


def _live(live: Callable[[socket.socket, int], int], link: socket.socket, supervisor: int, name: str) -> NoReturn:
    """Be one of the processes; never comes back to who called."""
    status = FAILED
    try:
        if sys.stdin is not None:
            os.dup2(os.open(os.devnull, os.O_RDONLY), STDIN)
        status = live(link, supervisor)
    except BaseException:  # noqa: BLE001  # there is nobody above to tell
        sys.stderr.write(f"tracemend: the process {name} could not go on\n{traceback.format_exc()}")
    finally:
        _flush()
        os._exit(status)  # threads that are stuck in native code are not waited for: what counts is on the bus


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # closed, or nobody listens any more
            stream.flush()
