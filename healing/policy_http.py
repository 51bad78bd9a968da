"""`GET /v1/policies/{service}/{agent}`: what a guard has to obey, with an ETag, and a long poll for changes.

Without an agent in the path the answer is the whole service's policy. With `?wait=SECONDS` and an `If-None-Match`
that still holds, the answer waits for a change: 200 with the new policy, or 304 when the time is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import xxhash
from aiohttp import web

from healing.homes import Home
from healing.policy_board import PolicyBoard
from schemas.healing import encode

PATHS = ("/v1/policies/{service}", "/v1/policies/{service}/{agent}")
LONGEST_WAIT_SECONDS = 60.0
WAITING_CLIENTS = 1_024
"""Long polls at a time; beyond, an answer comes at once."""

Handler = Callable[[web.Request], Awaitable[web.Response]]


def policy_handler(board: PolicyBoard, now_ns: Callable[[], int], tenant_of: Callable[[web.Request], str]) -> Handler:
    """Make the handler for `PATHS`; `tenant_of` names the tenant of a request's key or raises an HTTP error."""
    places = asyncio.Semaphore(WAITING_CLIENTS)

    async def handle(request: web.Request) -> web.Response:
        home = Home(tenant_of(request), request.match_info["service"], request.match_info.get("agent", ""))
        held = request.headers.get("If-None-Match", "")
        seconds = _wait_seconds(request)
        answer = _Answer(board, home, now_ns)
        if answer.is_held(held) and seconds > 0 and not places.locked():
            async with places:
                await answer.change(held, seconds)
        return answer.response(held)

    return handle


class _Answer:
    """What one client is told: read anew each time it is looked at."""

    def __init__(self, board: PolicyBoard, home: Home, now_ns: Callable[[], int]) -> None:
        self._board = board
        self._home = home
        self._now_ns = now_ns

    def is_held(self, held: str) -> bool:
        """Say whether the client holds what it would be told."""
        return _holds(held, _etag(self._body()))

    async def change(self, held: str, seconds: float) -> None:
        """Wait until the client holds something else, or the time is over."""
        changed, loop = asyncio.Event(), asyncio.get_running_loop()

        def tell() -> None:
            loop.call_soon_threadsafe(changed.set)

        with self._board.watching(self._home, tell):
            try:
                async with asyncio.timeout(seconds):
                    while self.is_held(held):
                        await changed.wait()
                        changed.clear()
            except TimeoutError:
                return

    def response(self, held: str) -> web.Response:
        """Answer as things are now."""
        body = self._body()
        etag = _etag(body)
        headers = {"ETag": etag, "Cache-Control": "no-cache"}
        if _holds(held, etag):
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, content_type="application/json", headers=headers)

    def _body(self) -> bytes:
        return encode(self._board.obeyed_by(self._home, self._now_ns()))


def _etag(body: bytes) -> str:
    return f'"{xxhash.xxh3_64_hexdigest(body)}"'


def _holds(held: str, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in held.split(",")]
    return "*" in tags or etag in tags


def _wait_seconds(request: web.Request) -> float:
    try:
        seconds = float(request.query.get("wait", "0"))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT_SECONDS:
        raise web.HTTPBadRequest(text=f"wait is a number of seconds from 0 to {LONGEST_WAIT_SECONDS:.0f}\n")
    return seconds
