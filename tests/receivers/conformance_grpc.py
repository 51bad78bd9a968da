"""The conformance table of the gRPC door."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

import grpc
from conformance_bodies import nested, over_record_limit, without_ids
from conformance_requests import EXPORT, RAW_SECONDS, Act, GrpcRequest, Seen
from conformance_row import KEY, Row
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from open_doors import OpenDoors, request
from raw_exchange import PREFACE, SETTINGS, exchange, frame, grpc_call

RESPONSE, PARTIAL = "OTLP/gRPC Response: Full Success", "OTLP/gRPC Response: Partial Success"
FAILURE, THROTTLING, LIMITS = "OTLP/gRPC Response: Failures", "OTLP/gRPC Throttling", "OTLP: Request size limits"
COMPRESSION, HEALTH = "gRPC: Compression", "gRPC: Health Checking Protocol"
PREFIX = "/opentelemetry.proto.collector"
GZIP, DEFLATE = grpc.Compression.Gzip, grpc.Compression.Deflate
TRACES = "opentelemetry.proto.collector.trace.v1.TraceService"


def taken(behaviour: str, clause: str, asked: GrpcRequest, spans: int = 2, given: str = "plain") -> Row:
    """Expect a call to be taken whole."""
    return Row("grpc", behaviour, clause, asked, {"code": "OK", "rejected": None, "stored": spans}, given)


def refused(
    behaviour: str, clause: str, asked: GrpcRequest, code: str, details: tuple[str, ...] = (), given: str = "plain"
) -> Row:
    """Expect a call to be refused."""
    return Row("grpc", behaviour, clause, asked, {"code": code, "details": list(details), "stored": 0}, given)


def _health(service: str) -> Act:
    def check(doors: OpenDoors) -> Seen:
        with grpc.insecure_channel(doors.grpc) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            try:
                return {"is": stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10).status}
            except grpc.RpcError as refused:
                return {"is": refused.code().name}

    return Act(check)


def _watch(service: str) -> Act:
    def watch(doors: OpenDoors) -> Seen:
        with grpc.insecure_channel(doors.grpc) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            watched = stub.Watch(health_pb2.HealthCheckRequest(service=service), timeout=10)
            first = next(watched).status
            watched.cancel()
            return {"is": first}

    return Act(watch)


def _services(doors: OpenDoors) -> Seen:
    with grpc.insecure_channel(doors.grpc) as channel:
        try:
            found: Any = ProtoReflectionDescriptorDatabase(channel)
            return {"known": TRACES in found.get_services()}
        except grpc.RpcError as refused:
            return {"known": refused.code().name}


def _no_text(doors: OpenDoors) -> Seen:
    """Send a call whose path is not UTF-8, then call as an honest client."""
    exchange(doors.grpc, grpc_call(b"/\xff", b""))
    with grpc.insecure_channel(doors.grpc) as channel:
        call = channel.unary_unary(EXPORT, request_serializer=bytes, response_deserializer=bytes)
        return {"honest": call(b"", timeout=10, wait_for_ready=True)}


def _unknown_encoding(doors: OpenDoors) -> Seen:
    """Call with a message encoding that nobody knows; tell whether the status is one that no client repeats."""
    call = grpc_call(EXPORT.encode(), b"x", [(b"grpc-encoding", b"br")], 1)
    heard = exchange(doors.grpc, call, RAW_SECONDS)
    return {"for good": b"\x0bgrpc-status\x02" + b"12" in heard or b"\x0bgrpc-status\x02" + b"13" in heard}


def _silent(doors: OpenDoors) -> Seen:
    """Connect and say nothing; tell whether the door ends it."""
    host, port = doors.grpc.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=8) as silent:
        try:
            while silent.recv(1_000):
                pass
        except ConnectionResetError:
            return {"ended": True}
        except TimeoutError:
            return {"ended": False}
        return {"ended": True}


def _many(doors: OpenDoors) -> Seen:
    """Open more connections than there may be; tell how many the door keeps."""
    host, port = doors.grpc.rsplit(":", 1)
    opened = [socket.create_connection((host, int(port)), timeout=1) for _ in range(6)]
    try:
        return {"kept": sum(_greets(one) for one in opened)}
    finally:
        for one in opened:
            one.close()


def _greets(connection: socket.socket) -> bool:
    with suppress(OSError):
        connection.sendall(PREFACE + frame(SETTINGS, 0, 0, b""))
        return bool(connection.recv(100))
    return False


def _many_pings(doors: OpenDoors) -> Seen:
    """Ask far more often than allowed whether the server is there."""
    host, port = doors.grpc.rsplit(":", 1)
    ping = frame(6, 0, 0, bytes(8))
    heard = b""
    with socket.create_connection((host, int(port)), timeout=5) as client:
        client.sendall(PREFACE + frame(SETTINGS, 0, 0, b""))
        client.settimeout(0.05)
        for _ in range(20):
            with suppress(TimeoutError, ConnectionError):
                client.sendall(ping)
                heard += client.recv(10_000)
    return {"told": b"too_many_pings" in heard}


ROWS: list[Row] = [
    taken("traces", RESPONSE, GrpcRequest((request(),))),
    taken("empty request", RESPONSE, GrpcRequest(), 0),
    taken("unknown field", "OTLP: Binary Protobuf Encoding", GrpcRequest((request() + b"\xba\x3e\x01x",))),
    taken("logs", RESPONSE, GrpcRequest(method=f"{PREFIX}.logs.v1.LogsService/Export"), 0),
    taken("metrics", RESPONSE, GrpcRequest(method=f"{PREFIX}.metrics.v1.MetricsService/Export"), 0),
    taken("gzip message", COMPRESSION, GrpcRequest((request(2, "x" * 5_000),), compression=GZIP)),
    taken("deflate message", COMPRESSION, GrpcRequest((request(2, "x" * 5_000),), compression=DEFLATE)),
    Row(
        "grpc",
        "unknown message encoding (gRPC: UNIMPLEMENTED; its library: INTERNAL)",
        COMPRESSION,
        Act(_unknown_encoding),
        {"for good": True},
    ),
    # --- refused for good ---
    refused("bytes that are no request", FAILURE, GrpcRequest((b"\xff\xff",)), "INVALID_ARGUMENT", ("BadRequest",)),
    refused("call without a message", "gRPC: unary call", GrpcRequest(()), "INVALID_ARGUMENT", ("BadRequest",)),
    refused("unknown service", "gRPC: status codes", GrpcRequest(method="/no.such.Service/Export"), "UNIMPLEMENTED"),
    refused(
        "unknown method", "gRPC: status codes", GrpcRequest(method=EXPORT.replace("Export", "Import")), "UNIMPLEMENTED"
    ),
    refused(
        "message over the limit, without RetryInfo",
        LIMITS,
        GrpcRequest((request(1, "x" * 2_000_000),)),
        "RESOURCE_EXHAUSTED",
    ),
    refused("gzip bomb", LIMITS, GrpcRequest((bytes(50_000_000),), compression=GZIP), "RESOURCE_EXHAUSTED"),
    refused("values nested too deep", LIMITS, GrpcRequest((nested(200),)), "INVALID_ARGUMENT", ("BadRequest",)),
    taken("values nested as deep as they may", LIMITS, GrpcRequest((nested(40),)), 1),
    # --- partial success ---
    Row(
        "grpc",
        "spans without ids are rejected, the rest is taken",
        PARTIAL,
        GrpcRequest((without_ids(),)),
        {"code": "OK", "rejected": 1, "reason": True, "stored": 2},
    ),
    Row(
        "grpc",
        "a span over the record limit is rejected, the rest is taken",
        PARTIAL,
        GrpcRequest((over_record_limit(),)),
        {"code": "OK", "rejected": 1, "reason": True, "stored": 2},
        "small records",
    ),
    # --- later ---
    refused(
        "bus that cannot write now", THROTTLING, GrpcRequest((request(),)), "UNAVAILABLE", ("RetryInfo",), "overloaded"
    ),
    refused("no memory", THROTTLING, GrpcRequest((request(),)), "UNAVAILABLE", ("RetryInfo",), "no memory"),
    refused(
        "tenant that has had its share",
        THROTTLING,
        GrpcRequest((request(),)),
        "UNAVAILABLE",
        ("RetryInfo",),
        "over its share",
    ),
    refused(
        "message that does not come", THROTTLING, GrpcRequest((), pause_seconds=2.5), "UNAVAILABLE", ("RetryInfo",)
    ),
    Row("grpc", "connection that says nothing", "slow-loris", Act(_silent), {"ended": True}),
    Row(
        "grpc", "more connections than there may be", "grpc max_connections", Act(_many), {"kept": 2}, "two connections"
    ),
    Row("grpc", "pings more often than allowed", "gRPC: keepalive", Act(_many_pings), {"told": True}),
    Row("grpc", "path that is no text", "RFC 9113 §8.3.1", Act(_no_text), {"honest": b""}),
    # --- keys ---
    taken(
        "authorization: Bearer",
        "gRPC: authentication",
        GrpcRequest((request(),), metadata=(("authorization", f"Bearer {KEY}"),)),
        given="locked",
    ),
    taken(
        "x-api-key", "gRPC: authentication", GrpcRequest((request(),), metadata=(("x-api-key", KEY),)), given="locked"
    ),
    refused("no key", "gRPC: status codes", GrpcRequest((request(),)), "UNAUTHENTICATED", given="locked"),
    refused(
        "wrong key",
        "gRPC: status codes",
        GrpcRequest((request(),), metadata=(("x-api-key", KEY + "x"),)),
        "UNAUTHENTICATED",
        given="locked",
    ),
    refused(
        "no key, before the message comes",
        "gRPC: status codes",
        GrpcRequest((), pause_seconds=0.7),
        "UNAUTHENTICATED",
        given="locked",
    ),
    # --- health and reflection ---
    Row("grpc", "health of the whole", HEALTH, _health(""), {"is": 1}),
    Row("grpc", "health of a service", HEALTH, _health(TRACES), {"is": 1}),
    Row("grpc", "health of an unknown service", HEALTH, _health("no.such.Service"), {"is": "NOT_FOUND"}),
    Row("grpc", "health, watched", HEALTH, _watch(TRACES), {"is": 1}),
    Row("grpc", "health of an unknown service, watched", HEALTH, _watch("no.such.Service"), {"is": 3}),
    Row("grpc", "health needs no key", HEALTH, _health(""), {"is": 1}, "locked"),
    Row("grpc", "reflection is off", "gRPC: Server Reflection", Act(_services), {"known": "UNIMPLEMENTED"}),
    Row("grpc", "reflection, switched on", "gRPC: Server Reflection", Act(_services), {"known": True}, "reflecting"),
]
