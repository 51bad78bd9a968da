"""Settings of the OTLP receiver, named as the Collector names them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from collector.receivers.cors import CorsConfig
from collector.receivers.durations import CollectorNames
from collector.receivers.endpoints import check_endpoint, socket_path
from collector.receivers.grpc_reflection import check_reflection
from collector.receivers.tls import TlsConfig

Endpoint = Annotated[str, AfterValidator(check_endpoint)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
OrNever = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class KeepaliveServerParameters(CollectorNames):
    """When the server asks whether a client is still there, and when it ends connections (0: never)."""

    time_seconds: Positive = 30
    timeout_seconds: Positive = 20
    max_connection_idle_seconds: OrNever = 0
    max_connection_age_seconds: OrNever = 0
    max_connection_age_grace_seconds: OrNever = 0


class KeepaliveEnforcementPolicy(CollectorNames):
    """How often a client may ask whether the server is still there."""

    min_time_seconds: Positive = 10
    permit_without_stream: bool = True


class Keepalive(BaseModel):
    """Keep-alive of gRPC connections, both ways."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    server_parameters: KeepaliveServerParameters = KeepaliveServerParameters()
    enforcement_policy: KeepaliveEnforcementPolicy = KeepaliveEnforcementPolicy()


class DoorConfig(CollectorNames):
    """What both doors have: where they are, and who comes in. Port 0 takes any free one, which is printed.

    A Unix socket is `unix:///path`, or `transport: unix` with a path; its file has `socket_permissions`.
    """

    endpoint: Endpoint
    transport: Literal["tcp", "unix"] = "tcp"
    socket_permissions: Annotated[str, Field(pattern=r"^0?[0-7]{3}$")] = "0600"
    allow_unauthenticated: bool = False
    tls: TlsConfig | None = None

    @model_validator(mode="after")
    def _path_for_unix(self) -> DoorConfig:
        if self.transport == "unix" and socket_path(self.endpoint) is None:
            raise ValueError(f"transport unix needs a path as its endpoint, not {self.endpoint}")
        if self.transport == "tcp" and self.endpoint.startswith("/"):
            raise ValueError(f"{self.endpoint} is a path: set transport to unix")
        return self

    @property
    def socket_path(self) -> Path | None:
        """The path of its Unix socket; None where it has a host and port."""
        return socket_path(self.endpoint)

    @property
    def permissions(self) -> int:
        """The mode of its Unix socket."""
        return int(self.socket_permissions, 8)


class GrpcConfig(DoorConfig):
    """The gRPC door. `read_timeout_seconds` bounds the wait for a call's message.

    Where there are `max_connections` (some 15 kB each), further ones are refused; silent ones end after ten seconds.
    """

    endpoint: Endpoint = "127.0.0.1:4317"
    max_recv_msg_size_mib: Annotated[int, Field(ge=1, le=1024)] = 64
    max_concurrent_streams: Annotated[int, Field(ge=1)] = 1000
    max_connections: Annotated[int, Field(ge=1)] = 8192
    read_timeout_seconds: Positive = 30
    keepalive: Keepalive = Keepalive()
    reflection: bool = False

    @model_validator(mode="after")
    def _what_grpc_can(self) -> GrpcConfig:
        if self.tls is not None and self.tls.min_version != "1.2":
            raise ValueError("tls::min_version of gRPC is 1.2: its library offers no choice")
        if self.reflection:
            check_reflection()
        return self


class HttpConfig(DoorConfig):
    """The HTTP door. A connection on which nothing is asked for `idle_timeout_seconds` is closed.

    A body has `read_timeout_seconds`, and a second more for each `min_read_bytes_per_second` that has come.
    """

    endpoint: Endpoint = "127.0.0.1:4318"
    max_request_body_size: Annotated[int, Field(ge=1024)] = 64 * 1024 * 1024
    read_timeout_seconds: Positive = 30
    min_read_bytes_per_second: Annotated[int, Field(ge=1)] = 16_384
    idle_timeout_seconds: Positive = 60
    max_connections: Annotated[int, Field(ge=1)] = 1024
    cors: CorsConfig = CorsConfig()


class Protocols(BaseModel):
    """The protocols that are on; one that is left out is off."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    grpc: GrpcConfig | None = None
    http: HttpConfig | None = None


class OtlpReceiverConfig(BaseModel):
    """OTLP over gRPC and HTTP: traces, logs and metrics, answered once they are durable."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    protocols: Protocols = Protocols(grpc=GrpcConfig(), http=HttpConfig())

    @model_validator(mode="after")
    def _some_protocol(self) -> OtlpReceiverConfig:
        if self.protocols.grpc is None and self.protocols.http is None:
            raise ValueError("must specify at least one protocol: grpc or http")
        return self
