"""Settings of the OTLP receiver, named as the Collector names them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

ENDPOINT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\s\[\]/]*):(\d{1,5})\Z")


def _endpoint(value: str) -> str:
    found = ENDPOINT.match(value)
    if found is None or int(found[2]) > 65_535:
        raise ValueError(f"{value!r} is not a host:port")
    return value


Endpoint = Annotated[str, AfterValidator(_endpoint)]


class KeepaliveServerParameters(BaseModel):
    """When the server asks whether a client is still there, and when it ends connections (0: never)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    time_seconds: Annotated[float, Field(gt=0)] = 30
    timeout_seconds: Annotated[float, Field(gt=0)] = 20
    max_connection_idle_seconds: Annotated[float, Field(ge=0)] = 0
    max_connection_age_seconds: Annotated[float, Field(ge=0)] = 0


class KeepaliveEnforcementPolicy(BaseModel):
    """How often a client may ask whether the server is still there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_time_seconds: Annotated[float, Field(gt=0)] = 10
    permit_without_stream: bool = True


class Keepalive(BaseModel):
    """Keep-alive of gRPC connections, both ways."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    server_parameters: KeepaliveServerParameters = KeepaliveServerParameters()
    enforcement_policy: KeepaliveEnforcementPolicy = KeepaliveEnforcementPolicy()


class GrpcConfig(BaseModel):
    """The gRPC door. Port 0 takes any free port, which is printed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: Endpoint = "127.0.0.1:4317"
    allow_unauthenticated: bool = False
    max_recv_msg_size_mib: Annotated[int, Field(ge=1, le=1024)] = 64
    max_concurrent_streams: Annotated[int, Field(ge=1)] = 1000
    read_timeout_seconds: Annotated[float, Field(gt=0)] = 30
    keepalive: Keepalive = Keepalive()


class HttpConfig(BaseModel):
    """The HTTP door. A connection on which nothing is asked for `idle_timeout_seconds` is closed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: Endpoint = "127.0.0.1:4318"
    allow_unauthenticated: bool = False
    max_request_body_size: Annotated[int, Field(ge=1024)] = 64 * 1024 * 1024
    read_timeout_seconds: Annotated[float, Field(gt=0)] = 30
    idle_timeout_seconds: Annotated[float, Field(gt=0)] = 60
    max_connections: Annotated[int, Field(ge=1)] = 1024


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
