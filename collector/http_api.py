"""The small HTTP server beside the doors: `/metrics`, `/healthz`, the detections stream, guard policies."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Metric, generate_latest

from collector.receivers.api_keys import CHALLENGE, NO_KEY, ApiKeys
from collector.stages import DEGRADED
from schemas.keys import DEFAULT_TENANT


class Health(NamedTuple):
    """Whether everything is ready to accept, what each component says of itself, and how ready each detector is."""

    ready: bool
    components: Mapping[str, Mapping[str, str]]
    detectors: Mapping[str, str] = MappingProxyType({})


class Metrics(Protocol):
    """What is written out at `/metrics`."""

    def collect(self) -> Iterable[Metric]:
        """Give every metric."""


TROUBLED = ("failing", "poisoned", "fenced", "failed")

Route = tuple[str, Callable[[web.Request], object]]


class TenantOf:
    """Names the tenant whose key a request brings; raises 401 for one that brings none where keys are needed."""

    def __init__(self, keys: ApiKeys) -> None:
        self._keys = keys

    def __call__(self, request: web.Request) -> str:
        """Name the tenant."""
        if not self._keys.needed:
            return DEFAULT_TENANT
        tenant = self._keys.tenant(request.headers.get("Authorization"), request.headers.get("X-Api-Key"))
        if tenant is None:
            raise web.HTTPUnauthorized(text=f"{NO_KEY}\n", headers={"WWW-Authenticate": CHALLENGE})
        return tenant


class HttpApi:
    """Serves on one address; `port` is the bound one (an address with port 0 takes any free one)."""

    def __init__(
        self,
        endpoint: str,
        health: Callable[[], Health],
        routes: Sequence[Route] = (),
        metrics: Callable[[], Awaitable[Metrics]] | None = None,
    ) -> None:
        self._host, _, port = endpoint.rpartition(":")
        self.port = int(port)
        self._health = health
        self._metrics = metrics
        self._routes = routes
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Bind and serve. Raises OSError where the address is taken."""
        app = web.Application(middlewares=[_only_same_origin])
        app.router.add_get("/metrics", self._written)
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
        body: dict[str, Any] = {"status": _status(health), "components": health.components}
        if health.detectors:
            body["detectors"] = dict(health.detectors)
        return web.json_response(body, status=200 if health.ready else 503)

    async def _written(self, _request: web.Request) -> web.Response:
        body = generate_latest(await self._metrics() if self._metrics is not None else REGISTRY)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host.strip("[]") or "127.0.0.1", port))
    listener.setblocking(False)  # noqa: FBT003  # the standard library's
    return listener


def _status(health: Health) -> str:
    """Say in a word how it is; the components say why."""
    found = {how["status"] for how in health.components.values()}
    if health.ready:
        return DEGRADED if DEGRADED in found else "ok"
    return "failing" if found & set(TROUBLED) else "starting"


@web.middleware
async def _only_same_origin(request: web.Request, handler: Callable[[web.Request], object]) -> web.StreamResponse:
    """Refuse what a web page in somebody's browser sends: pages have no business here."""
    if request.headers.get("Origin"):
        return web.Response(status=403, text="cross-origin requests are refused\n")
    return await handler(request)  # type: ignore[misc,no-any-return]  # aiohttp's handlers are coroutines
