"""How one process on an embedded bus tells the others that there is something new: a byte into the named pipe of each.

Named pipes rather than sockets, whose paths may be 100 characters long at most, or descriptors handed down, which the
command line would not have. A process that dies leaves a pipe that nobody reads; who meets it first removes it.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

WAKE = b"!"
READ_BYTES = 65_536
SETTLED_NS = 100_000_000
"""How long a folder has to be as it is before its time of change says that nobody came since: clocks of file systems
tick every few milliseconds."""


class WakeUps:
    """Wakes other processes, and once it listens is woken by them. `on_wake` is called in a thread of its own."""

    def __init__(self, folder: Path, on_wake: Callable[[], None]) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder
        self._on_wake = on_wake
        self._own: Path | None = None
        self._reading = -1
        self._closing = False
        self._lock = threading.Lock()
        self._listener = threading.Thread(target=self._listen, name="bus-wakeups", daemon=True)
        self._others: dict[str, int] = {}
        self._seen_ns = -1

    def listen(self) -> None:
        """Be woken from now on; the second time changes nothing."""
        with self._lock:
            if self._own is not None:
                return
            own = self._folder / f"{os.getpid()}-{secrets.token_hex(4)}"
            hidden = self._folder / f".{own.name}"
            os.mkfifo(hidden, 0o600)
            self._reading = os.open(hidden, os.O_RDWR)  # also for writing, or a read would end when a writer goes
            hidden.rename(own)  # from here on others see it, and that somebody reads it
            self._own = own
            self._listener.start()

    def announce(self) -> None:
        """Wake everybody else. Owned by one thread; never waits: a pipe that is full wakes its reader anyway."""
        try:
            changed_ns = self._folder.stat().st_mtime_ns
            if changed_ns != self._seen_ns:
                settled = time.time_ns() - changed_ns > SETTLED_NS
                self._meet()
                self._seen_ns = changed_ns if settled else -1
        except OSError:
            return  # readers look by themselves every now and then
        for name, pipe in list(self._others.items()):
            try:
                os.write(pipe, WAKE)
            except BlockingIOError:
                continue
            except OSError:
                self._forget(name)

    def close(self) -> None:
        """Stop listening, and let go of everybody. No `announce` may be under way."""
        self._closing = True
        if self._own is not None:
            _remove(self._own)
            os.write(self._reading, WAKE)
            self._listener.join()
            os.close(self._reading)
        for name in list(self._others):
            os.close(self._others.pop(name))

    def _listen(self) -> None:
        while not self._closing:
            os.read(self._reading, READ_BYTES)
            self._on_wake()

    def _meet(self) -> None:
        """Open the pipes of who came, and drop those of who went."""
        names = {name for name in os.listdir(self._folder) if not name.startswith(".")}
        for gone in self._others.keys() - names:
            os.close(self._others.pop(gone))
        for name in names - self._others.keys():
            if self._own is None or name != self._own.name:
                self._open(name)

    def _open(self, name: str) -> None:
        try:
            self._others[name] = os.open(self._folder / name, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody reads it: ENXIO
            _remove(self._folder / name)

    def _forget(self, name: str) -> None:
        """Drop one whose reader has gone."""
        os.close(self._others.pop(name))
        _remove(self._folder / name)


def _remove(pipe: Path) -> None:
    """Remove a pipe; where the folder cannot be written any more it stays, and who meets it next removes it."""
    with suppress(OSError):
        pipe.unlink(missing_ok=True)
