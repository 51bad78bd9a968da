"""A gRPC server that goes on where grpc itself gives up.

grpc.aio ends its serving for good on a call whose path is not UTF-8 (seen in 1.85: one packet, before any key is looked
at). No hook of its comes before that, so it is noticed, and another server is opened on the same port at once; calls
under way are finished by the old one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import grpc

LOOK_SECONDS = 0.25
"""How often a server is looked at that still has calls under way; without any its end is noticed at once."""
FINISH_SECONDS = 30.0
"""How long calls under way may take to finish on a server that has given up."""

Open = Callable[[int], tuple[grpc.aio.Server, int]]
"""Makes a server and binds it to a port (0: any free one); gives it and its port, raises RuntimeError where taken."""
_log = logging.getLogger(__name__)


class LastingGrpcServer:
    """Serves until it is stopped. Owned by one event loop."""

    def __init__(self, opened: Open) -> None:
        self._opened = opened
        self._server: grpc.aio.Server | None = None
        self._watch: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    async def start(self, port: int) -> int:
        """Bind and serve; returns the bound port, raises RuntimeError where it is taken."""
        self._server, bound = self._opened(port)
        await self._server.start()
        self._watch = asyncio.create_task(self._go_on(self._server, bound))
        return bound

    async def stop(self, grace_seconds: float) -> None:
        """Take no more calls; those under way are finished within the grace."""
        if self._watch is not None:
            self._watch.cancel()
        for leaving in self._leaving:
            leaving.cancel()
        if self._server is not None:
            await self._server.stop(grace_seconds)

    async def _go_on(self, server: grpc.aio.Server, port: int) -> None:
        while True:
            await _given_up(server)
            self._let_go(server)
            server = self._server = await self._reopened(port)

    def _let_go(self, server: grpc.aio.Server) -> None:
        leaving = asyncio.create_task(server.stop(FINISH_SECONDS))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _reopened(self, port: int) -> grpc.aio.Server:
        while True:
            try:
                server, _ = self._opened(port)
            except (RuntimeError, OSError):  # the old one has not let go of the port yet
                await asyncio.sleep(LOOK_SECONDS / 10)
                continue
            await server.start()
            return server


async def _given_up(server: grpc.aio.Server) -> None:
    """Return once a server has ended by itself."""
    while True:
        try:
            if not await server.wait_for_termination(LOOK_SECONDS):
                return
        except Exception as error:  # noqa: BLE001  # whatever it was that ended it: this one is over
            _log.warning("grpc gave up serving (%s: %s); the door is opened anew", type(error).__name__, error)
            return
