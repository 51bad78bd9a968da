"""The socket of the HTTP door, with TLS where it is set; new certificates are for new connections, old ones go on."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from collector.receivers.endpoints import HANDSHAKE_SECONDS, UNIX, listen
from collector.receivers.otlp_config import HttpConfig
from collector.receivers.tls import Certificates


class HttpListener:
    """Listens for one door. Owned by one event loop."""

    def __init__(self, config: HttpConfig) -> None:
        self._config = config
        self._host, _, port = config.endpoint.rpartition(":")
        self._port = int(port) if config.socket_path is None else 0
        self._certificates = Certificates(config.tls) if config.tls is not None else None
        self._socket: socket.socket | None = None
        self._listening: asyncio.Server | None = None
        self._renewing: asyncio.Task[None] | None = None

    async def open(self, connections: Callable[[], asyncio.Protocol]) -> None:
        """Bind and listen; raises OSError where the address is taken."""
        self._socket = listen(self._config.endpoint, self._port, self._config.permissions)
        if self._config.socket_path is None:
            self._port = self._socket.getsockname()[1]
        self._listening = await self._listen(connections)
        tls = self._config.tls
        if tls is not None and tls.reload_interval_seconds:
            self._renewing = asyncio.create_task(self._renew(connections, tls.reload_interval_seconds))

    def close(self) -> None:
        """Take no more connections."""
        if self._renewing is not None:
            self._renewing.cancel()
        if self._listening is not None:
            self._listening.close()
        if self._socket is not None:
            self._socket.close()
            if self._config.socket_path is not None:
                self._config.socket_path.unlink(missing_ok=True)

    @property
    def address(self) -> str:
        """Where it is: host:port, or unix:///path."""
        path = self._config.socket_path
        return f"{UNIX}{path}" if path is not None else f"{self._host or '0.0.0.0'}:{self._port}"  # noqa: S104  # bound

    async def _listen(self, connections: Callable[[], asyncio.Protocol]) -> asyncio.Server:
        """Listen with the certificates as they are, on the socket that stays the same."""
        if self._socket is None:
            raise OSError("the door is closed")
        context = self._certificates.context() if self._certificates is not None else None
        handshake = min(HANDSHAKE_SECONDS, self._config.read_timeout_seconds) if context is not None else None
        return await asyncio.get_running_loop().create_server(
            connections,
            sock=self._socket.dup(),
            backlog=self._config.max_connections,
            ssl=context,
            ssl_handshake_timeout=handshake,
        )

    async def _renew(self, connections: Callable[[], asyncio.Protocol], every_seconds: float) -> None:
        while True:
            await asyncio.sleep(every_seconds)
            if self._certificates is not None and await asyncio.to_thread(self._certificates.changed):
                await self._listen_anew(connections, self._certificates)

    async def _listen_anew(self, connections: Callable[[], asyncio.Protocol], certificates: Certificates) -> None:
        """Listen with new certificates; where they cannot be used after all, go on with the old and look again."""
        try:
            fresh = await self._listen(connections)
        except (OSError, ValueError):
            certificates.look_again()
            return
        before, self._listening = self._listening, fresh
        if before is not None:
            before.close()
