"""The small HTTP server beside the doors: `/metrics`, `/healthz`, the detections stream, guard policies."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")


class Health(NamedTuple):
    """Whether everything is ready to accept, and what each component says of itself."""

    ready: bool
    components: Mapping[str, Mapping[str, str]]


Route = tuple[str, Callable[[web.Request], object]]


class HttpApi:
    """Serves on one address; `port` is the bound one (an address with port 0 takes any free one)."""

    def __init__(self, endpoint: str, health: Callable[[], Health], routes: Sequence[Route] = ()) -> None:
        self._host, _, port = endpoint.rpartition(":")
        self.port = int(port)
        self._health = health
        self._routes = routes
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Bind and serve. Raises OSError where the address is taken."""
        app = web.Application(middlewares=[_only_same_origin])
        app.router.add_get("/metrics", _metrics)
        app.router.add_get("/healthz", self._healthz)
        for path, handler in self._routes:
            app.router.add_get(path, handler)  # type: ignore[arg-type]  # handlers are coroutines
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        listener = _listen(self._host, self.port)
        self.port = listener.getsockname()[1]
        await web.SockSite(self._runner, listener).start()

    async def stop(self) -> None:
        """Stop serving."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        health = self._health()
        body = {"status": "ok" if health.ready else "starting", "components": health.components}
        return web.json_response(body, status=200 if health.ready else 503)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host.strip("[]") or "127.0.0.1", port))
    listener.setblocking(False)  # noqa: FBT003  # the standard library's
    return listener


@web.middleware
async def _only_same_origin(request: web.Request, handler: Callable[[web.Request], object]) -> web.StreamResponse:
    """Refuse what a web page in somebody's browser sends: pages have no business here."""
    if request.headers.get("Origin"):
        return web.Response(status=403, text="cross-origin requests are refused\n")
    return await handler(request)  # type: ignore[misc,no-any-return]  # aiohttp's handlers are coroutines


async def _metrics(_request: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
