"""A wire to a server that can be cut, slowed down and unplugged: what a network does to a client."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

CHUNK = 1 << 16
BRINGS_ROWS = b"application/octet-stream"
"""How a client marks requests that bring rows."""


class FaultyLink:
    """Listens on `port` and passes everything on to a server; its attributes say what goes wrong, from now on.

    `cut_answers`: to how many requests that bring rows the answer is lost, with the connection, once the server has
    given it. `holds_answers`: answers to such requests are kept from the client. `delay_seconds`: how late all come.
    `swallows`: nothing passes any more, in neither direction, and nobody is told.
    `hangs_up`: connections are ended at their first words. `connections` counts all there were, `refused_rows` those
    of them that were ended and would have brought rows.
    """

    def __init__(self, host: str, port: int) -> None:
        self.cut_answers = 0
        self.delay_seconds = 0.0
        self.hangs_up = False
        self.holds_answers = False
        self.swallows = False
        self.connections = 0
        self.refused_rows = 0
        self._target = (host, port)
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.port = 0
        self.plug_in()

    def plug_in(self) -> None:
        """Listen again, on the same port."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def unplug(self) -> None:
        """Cut every connection, and refuse new ones."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            held = list(self._open)
        for one in held:
            _end(one)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.hangs_up:
                threading.Thread(target=self._hang_up, args=(client,), daemon=True).start()
                continue
            self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        """Join a client to the server; where that is dead, the client sees what it would see of the server itself."""
        try:
            server = socket.create_connection(self._target)
        except OSError:
            _end(client)
        else:
            _Pair(self, client, server).start()

    def _hang_up(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            self.refused_rows += BRINGS_ROWS in client.recv(CHUNK).lower()
        _end(client)

    def hold(self, one: socket.socket) -> None:
        with self._lock:
            self._open.add(one)

    def let_go(self, one: socket.socket) -> None:
        with self._lock:
            self._open.discard(one)

    def takes_answer(self) -> bool:
        """Say whether this answer is lost."""
        with self._lock:
            taken = self.cut_answers > 0
            self.cut_answers -= taken
        return taken


class _Pair:
    """One connection, with its end at the server."""

    def __init__(self, link: FaultyLink, client: socket.socket, server: socket.socket) -> None:
        self._link = link
        self._client = client
        self._server = server
        self._brings_rows = False

    def start(self) -> None:
        for one in (self._client, self._server):
            self._link.hold(one)
        threading.Thread(target=self._pass_requests, daemon=True).start()
        threading.Thread(target=self._pass_answers, daemon=True).start()

    def _pass_requests(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._client.recv(CHUNK):
                self._brings_rows |= BRINGS_ROWS in data.lower()
                self._wait_while_swallowed()
                self._server.sendall(data)
        self._close()

    def _pass_answers(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._server.recv(CHUNK):
                if self._brings_rows and self._link.takes_answer():
                    break
                while self._brings_rows and self._link.holds_answers:
                    time.sleep(0.05)
                self._brings_rows = False
                self._wait_while_swallowed()
                if self._link.delay_seconds:
                    time.sleep(self._link.delay_seconds)
                self._client.sendall(data)
        self._close()

    def _wait_while_swallowed(self) -> None:
        while self._link.swallows:
            time.sleep(0.05)

    def _close(self) -> None:
        for one in (self._client, self._server):
            _end(one)
            self._link.let_go(one)


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
