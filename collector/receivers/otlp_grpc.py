"""OTLP over gRPC: the three services, on raw bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any

import grpc

from collector.receivers import status
from collector.receivers.api_keys import NO_KEY, ApiKeys
from collector.receivers.endpoints import HANDSHAKE_SECONDS, UNIX, claimed
from collector.receivers.grpc_credentials import grpc_credentials
from collector.receivers.grpc_health import GrpcHealth
from collector.receivers.grpc_reflection import add_reflection
from collector.receivers.intake import MIB, Accepted, Intake, Malformed, NoKey, Overloaded, OverShare, Refusal, TooLarge
from collector.receivers.lasting_grpc import LastingGrpcServer
from collector.receivers.otlp_config import GrpcConfig
from collector.receivers.signals import SIGNALS, Signal
from collector.receivers.tls import Certificates
from schemas.keys import DEFAULT_TENANT

Messages = AsyncIterable[bytes]
Handler = Callable[[Messages, Any], Awaitable[bytes]]

CODES = {
    TooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Malformed: grpc.StatusCode.INVALID_ARGUMENT,
    NoKey: grpc.StatusCode.UNAUTHENTICATED,
    Overloaded: grpc.StatusCode.UNAVAILABLE,
    OverShare: grpc.StatusCode.UNAVAILABLE,  # RESOURCE_EXHAUSTED is given up on by clients that do not read its details
}
STATUS_DETAILS = "grpc-status-details-bin"


class OtlpGrpc:
    """The gRPC door. `port` is the bound one once started."""

    def __init__(self, config: GrpcConfig, intake: Intake, keys: ApiKeys) -> None:
        self._config = config
        self._intake = intake
        self._keys = keys
        self.host, _, port = config.endpoint.rpartition(":")
        self.port = int(port) if config.socket_path is None else 0
        self._certificates = Certificates(config.tls) if config.tls is not None else None
        self._health: GrpcHealth | None = None
        self._server = LastingGrpcServer(self._opened)

    async def start(self) -> None:
        """Bind and serve; raises RuntimeError or OSError where the address is taken."""
        self._health = GrpcHealth(signal.service for signal in SIGNALS)
        self.port = await self._server.start(self.port)

    async def stop(self, grace_seconds: float) -> None:
        """Take no more calls; those under way are finished within the grace."""
        if self._health is not None:
            self._health.stop()
        await self._server.stop(grace_seconds)

    @property
    def address(self) -> str:
        """Where it is: host:port, or unix:///path."""
        path = self._config.socket_path
        return f"{UNIX}{path}" if path is not None else f"{self.host or '0.0.0.0'}:{self.port}"  # noqa: S104  # as bound

    def _opened(self, port: int) -> tuple[grpc.aio.Server, int]:
        server = grpc.aio.server(options=_options(self._config))
        server.add_generic_rpc_handlers(tuple(self._service(signal) for signal in SIGNALS))
        if self._health is not None:
            server.add_generic_rpc_handlers((self._health.handler(),))
        if self._config.reflection:
            add_reflection(server)
        return server, self._bound(server, port)

    def _bound(self, server: grpc.aio.Server, port: int) -> int:
        path = self._config.socket_path
        if path is None:
            return self._add_port(server, f"{self.host or '[::]'}:{port}")
        with claimed(path, self._config.permissions):
            return self._add_port(server, f"unix:{path}")

    def _add_port(self, server: grpc.aio.Server, address: str) -> int:
        if self._certificates is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, grpc_credentials(self._certificates))

    def _service(self, signal: Signal) -> Any:
        # As a stream of one message: grpc.aio never answers a unary call whose message does not come.
        method = grpc.stream_unary_rpc_method_handler(self._export(signal))
        return grpc.method_handlers_generic_handler(signal.service, {"Export": method})

    def _export(self, signal: Signal) -> Handler:
        success = signal.response().SerializeToString()

        async def export(messages: Messages, context: Any) -> bytes:
            try:
                tenant = self._tenant(context) if self._keys.needed else DEFAULT_TENANT
                self._intake.look(tenant)
                body = await self._message(messages)
                accepted = await self._intake.take(signal, body, "grpc", tenant)
            except Refusal as refusal:
                await _refuse(context, self._intake.refuse("grpc", refusal))
                raise  # not reached: abort raises
            return _partial(signal, accepted) if accepted.rejected else success

        return export

    def _tenant(self, context: Any) -> str:
        metadata = dict(context.invocation_metadata() or ())
        tenant = self._keys.tenant(metadata.get("authorization"), metadata.get("x-api-key"))
        if tenant is None:
            raise NoKey(NO_KEY)
        return tenant

    async def _message(self, messages: Messages) -> bytes:
        stream: Any = aiter(messages)
        try:
            async with asyncio.timeout(self._config.read_timeout_seconds):
                return bytes(await anext(stream))
        except StopAsyncIteration as error:
            raise Malformed("a call without a message") from error
        except TimeoutError as error:
            raise Overloaded("the message did not come in time", 1.0) from error
        finally:
            await stream.aclose()  # this generator and its maker hold one another, and with them the message


def _options(config: GrpcConfig) -> list[tuple[str, int]]:
    server, policy = config.keepalive.server_parameters, config.keepalive.enforcement_policy
    options = [
        ("grpc.max_receive_message_length", config.max_recv_msg_size_mib * MIB),
        ("grpc.max_concurrent_streams", config.max_concurrent_streams),
        ("grpc.max_allowed_incoming_connections", config.max_connections),
        ("grpc.server_handshake_timeout_ms", round(min(HANDSHAKE_SECONDS, config.read_timeout_seconds) * 1e3)),
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_time_ms", round(server.time_seconds * 1e3)),
        ("grpc.keepalive_timeout_ms", round(server.timeout_seconds * 1e3)),
        ("grpc.keepalive_permit_without_calls", int(policy.permit_without_stream)),
        ("grpc.http2.min_ping_interval_without_data_ms", round(policy.min_time_seconds * 1e3)),
    ]
    ends = {"idle": server.max_connection_idle_seconds, "age": server.max_connection_age_seconds}
    ends["age_grace"] = server.max_connection_age_grace_seconds
    return options + [(f"grpc.max_connection_{what}_ms", round(limit * 1e3)) for what, limit in ends.items() if limit]


def _partial(signal: Signal, accepted: Accepted) -> bytes:
    response: Any = signal.response()
    setattr(response.partial_success, signal.rejected_field, accepted.rejected)
    response.partial_success.error_message = accepted.reason[: status.LONGEST_MESSAGE]
    return bytes(response.SerializeToString())


async def _refuse(context: Any, refusal: Refusal) -> None:
    code = CODES[type(refusal)]
    if refusal.retry_seconds > 0 or code is grpc.StatusCode.INVALID_ARGUMENT:
        details = status.status_protobuf(code.value[0], refusal.reason, refusal.retry_seconds, refusal.at)
        context.set_trailing_metadata(((STATUS_DETAILS, details),))
    await context.abort(code, refusal.reason[: status.LONGEST_MESSAGE])
