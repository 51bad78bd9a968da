"""OTLP over HTTP: any path that ends in `/v1/traces`, `/v1/logs` or `/v1/metrics`, protobuf and JSON."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any, NamedTuple

import orjson
from aiohttp import web
from google.protobuf.json_format import MessageToDict

from collector.receivers import status
from collector.receivers.compression import decompress
from collector.receivers.intake import Accepted, Intake, Malformed, Overloaded, Refusal, TooLarge
from collector.receivers.otlp_config import HttpConfig
from collector.receivers.otlp_json import from_json
from collector.receivers.signals import SIGNALS, Signal

PROTOBUF, JSON = "application/x-protobuf", "application/json"
ENCODINGS = {PROTOBUF, "application/protobuf", JSON}
CONNECTIONS = 1_024
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Answer(NamedTuple):
    """How a kind of refusal is answered: HTTP status and status code."""

    http: int
    code: int


ANSWERS = {
    TooLarge: Answer(413, status.RESOURCE_EXHAUSTED),
    Malformed: Answer(400, status.INVALID_ARGUMENT),
    Overloaded: Answer(503, status.UNAVAILABLE),
}


class OtlpHttp:
    """The HTTP door. `port` is the bound one once started."""

    def __init__(self, config: HttpConfig, intake: Intake) -> None:
        self._config = config
        self._intake = intake
        self.host, _, port = config.endpoint.rpartition(":")
        self.port = int(port)
        self._runner: web.ServerRunner | None = None

    async def start(self) -> None:
        """Bind and serve; raises OSError where the address is taken."""
        server = web.Server(self._handle, access_log=None, lingering_time=1.0, auto_decompress=False)
        self._runner = web.ServerRunner(server, shutdown_timeout=5.0)
        await self._runner.setup()
        family = socket.AF_INET6 if self.host.startswith("[") else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.host.strip("[]") or "0.0.0.0", self.port))  # noqa: S104  # ":4318" asks for all addresses
        self.port = listener.getsockname()[1]
        await web.SockSite(self._runner, listener, backlog=CONNECTIONS).start()

    async def stop(self, _grace_seconds: float) -> None:
        """Take no more requests; those under way are finished."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        signal = next((signal for signal in SIGNALS if request.path.endswith(signal.path)), None)
        as_json = request.content_type == JSON
        if signal is None:
            message = f"no signal at {request.path[:200]}: a path ends in /v1/traces, /v1/logs or /v1/metrics"
            return _refuse(404, status.UNIMPLEMENTED, message, as_json)
        if request.method != "POST":
            return _refuse(405, status.UNIMPLEMENTED, "use POST", as_json, {"Allow": "POST"})
        if request.content_type not in ENCODINGS or "Content-Type" not in request.headers:
            message = f"unsupported media type, supported: {JSON}, {PROTOBUF}"
            return _refuse(415, status.INVALID_ARGUMENT, message, as_json)
        try:
            accepted = await self._take(signal, request, as_json)
        except Refusal as refusal:
            return _refused(refusal, as_json)
        return _succeed(signal, accepted, as_json)

    async def _take(self, signal: Signal, request: web.BaseRequest, as_json: bool) -> Accepted:
        body = await self._read(request)
        body = decompress(request.headers.get("Content-Encoding", ""), body, self._config.max_request_body_size)
        if as_json:
            body = from_json(signal.request, body).SerializeToString()
        return await self._intake.take(signal, body, "http")

    async def _read(self, request: web.BaseRequest) -> bytes:
        """Read a body within its limit and its time."""
        limit = self._config.max_request_body_size
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(CONTINUE)
            request.writer.output_size = 0
        if (request.content_length or 0) > limit:
            raise TooLarge(f"the body is over {limit} bytes")
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._config.read_timeout_seconds):
                async for chunk in request.content.iter_any():
                    size += len(chunk)
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
        response.partial_success.error_message = accepted.reason
    if as_json:
        return web.Response(body=orjson.dumps(MessageToDict(response)), content_type=JSON)
    return web.Response(body=response.SerializeToString(), content_type=PROTOBUF)


def _refused(refusal: Refusal, as_json: bool) -> web.Response:
    answer = ANSWERS[type(refusal)]
    headers = {"Retry-After": str(max(1, round(refusal.retry_seconds)))} if answer.http == 503 else {}
    return _refuse(answer.http, answer.code, refusal.reason, as_json, headers)


def _refuse(http: int, code: int, message: str, as_json: bool, headers: dict[str, str] | None = None) -> web.Response:
    body = status.status_json(code, message) if as_json else status.status_protobuf(code, message)
    response = web.Response(status=http, body=body, content_type=JSON if as_json else PROTOBUF, headers=headers)
    if http == 413:
        with contextlib.suppress(RuntimeError):
            response.force_close()
    return response
