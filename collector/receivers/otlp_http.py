"""OTLP over HTTP: any path that ends in `/v1/traces`, `/v1/logs` or `/v1/metrics`, protobuf and JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from math import ceil
from typing import Any, NamedTuple

import orjson
from aiohttp import web
from google.protobuf.json_format import MessageToDict

from collector.admission import EXPANSION, JSON_EXPANSION, Hold, Overload
from collector.receivers import status
from collector.receivers.api_keys import CHALLENGE, NO_KEY, ApiKeys
from collector.receivers.compression import DECODERS, decompress, expected_bytes
from collector.receivers.cors import Cors
from collector.receivers.http_connections import HttpConnections
from collector.receivers.http_listener import HttpListener
from collector.receivers.intake import (
    Accepted,
    Intake,
    Malformed,
    NoKey,
    Overloaded,
    OverShare,
    Refusal,
    TooLarge,
    Unsupported,
    overloaded,
)
from collector.receivers.media_types import JSON, PROTOBUF, PROTOBUFS
from collector.receivers.otlp_config import HttpConfig
from collector.receivers.otlp_json import from_json
from collector.receivers.signals import SIGNALS, Signal
from schemas.keys import DEFAULT_TENANT

BESIDE_BYTES = 262_144
"""Bodies from here on are decompressed and read beside the event loop, so that others are not kept waiting."""
MORE_TIMES = 4
"""How much larger than expected a body may turn out before it is begun anew with room for yet more."""
UNREAD = {401, 413, 429, 503}
"""Answers that may come before the body was read to its end."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Answer(NamedTuple):
    """How a kind of refusal is answered: HTTP status and status code."""

    http: int
    code: int


ANSWERS = {
    TooLarge: Answer(413, status.RESOURCE_EXHAUSTED),
    Malformed: Answer(400, status.INVALID_ARGUMENT),
    NoKey: Answer(401, status.UNAUTHENTICATED),
    Unsupported: Answer(415, status.INVALID_ARGUMENT),
    Overloaded: Answer(503, status.UNAVAILABLE),
    OverShare: Answer(429, status.RESOURCE_EXHAUSTED),
}


HEADERS = {401: {"WWW-Authenticate": CHALLENGE}, 415: {"Accept-Encoding": ", ".join(sorted(DECODERS))}}
"""What an answer has to say beside its body."""


class OtlpHttp:
    """The HTTP door."""

    def __init__(self, config: HttpConfig, intake: Intake, keys: ApiKeys) -> None:
        self._config = config
        self._intake = intake
        self._keys = keys
        self._cors = Cors(config.cors)
        self._door = HttpListener(config)
        self._connections: HttpConnections | None = None

    async def start(self) -> None:
        """Bind and serve; raises OSError where the address is taken."""
        config = self._config
        self._connections = HttpConnections(self._answer, config.max_connections, config.idle_timeout_seconds)
        await self._door.open(self._connections)

    async def stop(self, grace_seconds: float) -> None:
        """Take no more requests; those under way are finished within the grace."""
        self._door.close()
        if self._connections is not None:
            self._connections.pre_shutdown()
            await self._connections.shutdown(grace_seconds)

    @property
    def address(self) -> str:
        """Where it is: host:port, or unix:///path."""
        return self._door.address

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, and tell a web page whether it may know the answer."""
        if not self._cors.on:
            return await self._handle(request)
        origin = request.headers.get("Origin")
        if request.method == "OPTIONS" and origin and "Access-Control-Request-Method" in request.headers:
            return web.Response(status=204, headers=self._cors.preflight_headers(origin, request.headers))
        response = await self._handle(request)
        response.headers.update(self._cors.answer_headers(origin))
        return response

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        as_json = request.content_type not in PROTOBUFS
        tenant: str | None = DEFAULT_TENANT
        if self._keys.needed:
            tenant = self._keys.tenant(request.headers.get("Authorization"), request.headers.get("X-Api-Key"))
        if tenant is None:
            return _refused(self._intake.refuse("http", NoKey(NO_KEY)), as_json)
        signal = next((signal for signal in SIGNALS if request.path.endswith(signal.path)), None)
        if signal is None:
            message = f"no signal at {request.path[:200]}: a path ends in /v1/traces, /v1/logs or /v1/metrics"
            return _answer(404, status.UNIMPLEMENTED, Refusal(message), as_json)
        if request.method != "POST":
            return _answer(405, status.UNIMPLEMENTED, Refusal("use POST"), as_json, {"Allow": "POST"})
        if as_json and (request.content_type != JSON or "Content-Type" not in request.headers):
            message = f"unsupported media type, supported: {JSON}, {PROTOBUF}"
            return _answer(415, status.INVALID_ARGUMENT, Refusal(message, at="Content-Type"), as_json)
        try:
            accepted = await self._take(signal, request, as_json, tenant)
        except Refusal as refusal:
            return _refused(self._intake.refuse("http", refusal), as_json)
        return _succeed(signal, accepted, as_json)

    async def _take(self, signal: Signal, request: web.BaseRequest, as_json: bool, tenant: str) -> Accepted:
        limit = self._config.max_request_body_size
        if (request.content_length or 0) > limit:
            raise TooLarge(f"the body is over {limit} bytes")
        self._intake.look(tenant, request.content_length or 0)
        encoding = request.headers.get("Content-Encoding", "")
        try:
            with self._intake.admission.hold() as held:
                body = await self._read(request, held)
                if encoding:
                    body = await self._decompressed(encoding, body, held)
                if as_json:
                    held.cover(len(body) * JSON_EXPANSION)
                    body = await self._from_json(signal, body)
                return await self._intake.take(signal, body, "http", tenant, held)
        except Overload as overload:
            raise overloaded(overload) from overload

    async def _decompressed(self, encoding: str, body: bytes, held: Hold) -> bytes:
        """Decompress a body, with room for what it says it becomes; where it becomes more, again with more room."""
        limit = self._config.max_request_body_size
        expected, room = expected_bytes(encoding, body, limit), self._intake.admission.largest_body()
        while True:
            held.cover(expected * EXPANSION)
            try:
                return await self._undone(encoding, body, expected)
            except TooLarge:
                if expected >= limit:
                    raise
            more = min(limit, MORE_TIMES * expected + 1)
            expected = room if expected < room < more else more

    async def _undone(self, encoding: str, body: bytes, limit: int) -> bytes:
        """Decompress a body: a small one here, large ones one at a time beside the event loop."""
        if len(body) < BESIDE_BYTES:
            return decompress(encoding, body, limit)
        async with self._intake.large:
            return await asyncio.to_thread(decompress, encoding, body, limit)

    async def _from_json(self, signal: Signal, body: bytes) -> bytes:
        """Make protobuf of JSON: of a small body here, of large ones one at a time beside the event loop."""
        if len(body) < BESIDE_BYTES:
            return from_json(signal.request, body).SerializeToString()
        async with self._intake.large:
            return await asyncio.to_thread(lambda: from_json(signal.request, body).SerializeToString())

    async def _read(self, request: web.BaseRequest, held: Hold) -> bytes:
        """Read a body within its limit, its time, and the memory there is."""
        limit = self._config.max_request_body_size
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(CONTINUE)
            request.writer.output_size = 0
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._config.read_timeout_seconds) as time_left:
                latest = time_left.when() or 0.0
                async for chunk in request.content.iter_any():
                    size += len(chunk)
                    held.grow(len(chunk) * EXPANSION)
                    time_left.reschedule(latest + size / self._config.min_read_bytes_per_second)
                    if size > limit:
                        raise TooLarge(f"the body is over {limit} bytes")
                    parts.append(chunk)
        except TimeoutError as error:
            raise Overloaded("the body did not come in time", 1.0) from error
        except (web.RequestPayloadError, ConnectionError) as error:
            raise Malformed(f"the body cannot be read: {error}") from error
        return b"".join(parts)


def _succeed(signal: Signal, accepted: Accepted, as_json: bool) -> web.Response:
    response: Any = signal.response()
    if accepted.rejected:
        setattr(response.partial_success, signal.rejected_field, accepted.rejected)
        response.partial_success.error_message = accepted.reason[: status.LONGEST_MESSAGE]
    if as_json:
        return web.Response(body=orjson.dumps(MessageToDict(response)), content_type=JSON)
    return web.Response(body=response.SerializeToString(), content_type=PROTOBUF)


def _refused(refusal: Refusal, as_json: bool) -> web.Response:
    http, code = ANSWERS[type(refusal)]
    headers = dict(HEADERS.get(http, {}))
    if refusal.retry_seconds > 0:
        headers["Retry-After"] = str(max(1, ceil(refusal.retry_seconds)))
    return _answer(http, code, refusal, as_json, headers)


def _answer(
    http: int, code: int, refusal: Refusal, as_json: bool, headers: Mapping[str, str] | None = None
) -> web.Response:
    write = status.status_json if as_json else status.status_protobuf
    body = write(code, refusal.reason, refusal.retry_seconds, refusal.at)
    response = web.Response(status=http, body=body, content_type=JSON if as_json else PROTOBUF, headers=headers)
    if http in UNREAD:
        response.force_close()  # the rest of the body is not worth reading
    return response
