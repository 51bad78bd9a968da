"""An HTTP server that stands for whoever receives a webhook: it answers as it is told, well or badly."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple

Answer = bytes | Callable[[socket.socket], None]
"""What goes over the wire, or what is done with the connection instead."""


class Received(NamedTuple):
    """One request as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes


def answer(status: int, body: str = "", **headers: str) -> bytes:
    """Write an answer."""
    lines = [f"HTTP/1.1 {status} Said", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", body]).encode()


class WebhookReceiver:
    """Answers each request by `answers`, in turn; then with `usually`. `respond` decides by the request instead."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: list[Answer] = []
        self.usually: Answer = answer(204)
        self.respond: Callable[[Received], Answer] | None = None
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}/hooks/s3cret-path"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop accepting; who connects is refused."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # or else the thread that accepts holds it open
        self._listener.close()

    def bodies(self) -> list[bytes]:
        """Give what came so far."""
        with self._lock:
            return [one.body for one in self.received]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            while line := stream.readline():
                headers: dict[str, str] = {}
                while (one := stream.readline().strip()) and b":" in one:
                    name, _, value = one.decode("latin-1").partition(":")
                    headers[name.lower()] = value.strip()
                body = stream.read(int(headers.get("content-length", "0")))
                if not self._give(connection, Received(line.split()[1].decode(), headers, body)):
                    return

    def _give(self, connection: socket.socket, request: Received) -> bool:
        with self._lock:
            self.received.append(request)
            given = self.answers.pop(0) if self.answers else self.usually
        if self.respond is not None:
            given = self.respond(request)
        if callable(given):
            given(connection)
            return False
        connection.sendall(given)
        return True
