"""The connections of the HTTP door: bounded in number, and closed when nothing is asked on them for a while.

Where there are too many, the one that has said nothing for the longest makes room: whoever opens many and keeps silent
ends its own, and nobody else waits until they time out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from collector.receivers.media_types import JSON, PROTOBUF, PROTOBUFS
from collector.receivers.status import INTERNAL, INVALID_ARGUMENT, status_json, status_protobuf

SWEEPS = 4
"""How often connections are looked at within the time they may idle."""
LINGERING_SECONDS = 1.0
"""How long the rest of a body is read after its refusal, so that the client gets to see the answer."""

QUIET_SECONDS = 1.0
"""A connection that has idled for less makes no room: its last answer may still be on its way out."""

_log = logging.getLogger(__name__)


class Connection(web.RequestHandler):
    """One connection; what aiohttp itself refuses is answered as everything else is, with a google.rpc.Status."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what cannot be read as a request, or what failed in us; the connection ends with it."""
        if isinstance(exc, LineTooLong):
            status, message = 431, "a header, or all of them together, are too long"
        if status >= 500:
            _log.error("a request failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun")
        code, text = (INVALID_ARGUMENT, message or "no request") if status < 500 else (INTERNAL, "it failed in us")
        as_protobuf = request.content_type in PROTOBUFS
        write = status_protobuf if as_protobuf else status_json
        response = web.Response(status=status, body=write(code, text), content_type=PROTOBUF if as_protobuf else JSON)
        response.force_close()
        return response


class HttpConnections(web.Server):
    """Connections and what is asked on them. Owned by one event loop.

    aiohttp waits for ever for the head of a first request, and takes as many connections as there are descriptors.
    """

    def __init__(
        self,
        handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        most: int,
        idle_seconds: float,
    ) -> None:
        super().__init__(
            self._answer,
            access_log=None,
            lingering_time=LINGERING_SECONDS,
            auto_decompress=False,
            keepalive_timeout=idle_seconds,
        )
        self._handle = handle
        self._most = most
        self._idle_seconds = idle_seconds
        self._idle: dict[web.RequestHandler, float] = {}
        self._unasked: dict[web.RequestHandler, None] = {}
        """Those on which nothing was asked yet, oldest first: no answer is on its way on any of them."""
        self._open: dict[web.RequestHandler, asyncio.Transport] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def __call__(self) -> web.RequestHandler:
        """Make the handler of a connection."""
        return Connection(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Take a connection; where there are enough, end an idle one for it, or itself where all are at work."""
        super().connection_made(handler, transport)
        if len(self._open) >= self._most and not self._make_room():
            transport.abort()
            return
        self._open[handler] = transport
        self._idle[handler] = self._loop.time()
        self._unasked[handler] = None
        if self._sweep is None:
            self._sweep = self._loop.call_later(self._idle_seconds / SWEEPS, self._end_idle)

    def _make_room(self) -> bool:
        """End the connection that has idled longest, or the oldest on which nothing was asked yet."""
        handler, since = next(iter(self._idle.items()), (None, 0.0))
        if handler is None or self._loop.time() - since < QUIET_SECONDS:
            handler = next(iter(self._unasked), None)
        if handler is None:
            return False
        self._end(handler)
        return True

    def _end(self, handler: web.RequestHandler) -> None:
        """End an idle connection, and forget it at once: it is told of its end only later."""
        self._unasked.pop(handler, None)
        del self._idle[handler]
        self._open.pop(handler).abort()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Forget a connection."""
        super().connection_lost(handler, exc)
        self._open.pop(handler, None)
        self._idle.pop(handler, None)
        self._unasked.pop(handler, None)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        if connection not in self._open:  # ended while its request was on the way: taken now, it would come again
            return web.Response(status=503)
        self._idle.pop(connection, None)
        self._unasked.pop(connection, None)
        try:
            return await self._handle(request)
        finally:
            if connection in self._open:
                self._idle[connection] = self._loop.time()

    def _end_idle(self) -> None:
        """End what has idled for too long; no timer stays behind where there is no connection."""
        since = self._loop.time() - self._idle_seconds
        for handler in [one for one, idle in self._idle.items() if idle <= since]:
            self._end(handler)
        self._sweep = self._loop.call_later(self._idle_seconds / SWEEPS, self._end_idle) if self._open else None
