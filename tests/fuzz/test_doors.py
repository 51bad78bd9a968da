"""Both doors under bytes of every kind: no crash, no 5xx but 503, memory bounded, honest clients served after it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from open_doors import OpenDoors, request
from raw_exchange import exchange, grpc_call, statuses
from seeds import ENCODERS, as_json, recorded
from structured import generated, mutated

from collector.admission import release_free_memory, resident_bytes
from collector.receivers.signals import SIGNALS, TRACES, Signal

GROWTH_BYTES = 256 << 20
"""By how much all of it together may raise this process's memory, what the tests themselves take among it."""
EXPORT = f"/{TRACES.service}/Export"
REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNIMPLEMENTED,
}
TYPES = ("application/x-protobuf", "application/json", "application/json; charset=utf-8", "text/plain", "", "\xff/;=")
HEADERS = st.sampled_from(
    (
        "Expect: 100-continue",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Content-Length: 5",
        "Content-Length: 99999999999999999999",
        "Content-Length: -1",
        "Connection: close",
        "Connection: Upgrade\r\nUpgrade: h2c",
        "Accept-Encoding: gzip",
        "Content-Encoding: br",
        "Authorization: Basic \xff",
        "X: " + "y" * 9_000,
        "Broken",
    )
)

bodies = generated().map(lambda made: bytes(made.SerializeToString())) | st.sampled_from(recorded(TRACES)[:8])


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenDoors]:
    opened = OpenDoors(tmp_path_factory.mktemp("bus"))
    before = resident_bytes()
    yield opened
    serves_honest_clients(opened)
    release_free_memory()
    assert resident_bytes() - before < GROWTH_BYTES
    opened.close()


def serves_honest_clients(doors: OpenDoors) -> None:
    assert doors.ask("POST", "/v1/traces", request(), {"Content-Type": "application/x-protobuf"})[0] == 200
    with grpc.insecure_channel(doors.grpc) as channel:
        call = channel.unary_unary(EXPORT, request_serializer=bytes, response_deserializer=bytes)
        call(request(), timeout=10, wait_for_ready=True)


@st.composite
def encoded_bodies(draw: Any) -> tuple[str, bytes]:
    """Make a body and its Content-Encoding; damaged or not before it is encoded, and after."""
    body: bytes = draw(bodies)
    if draw(st.booleans()):
        body = as_json(TRACES, body)
    if draw(st.booleans()):
        body = draw(mutated(st.just(body)))
    encoding = draw(st.sampled_from(["", *ENCODERS]))
    body = ENCODERS[encoding](body) if encoding else body
    return encoding, draw(mutated(st.just(body))) if draw(st.booleans()) else body


@st.composite
def http_requests(draw: Any) -> bytes:
    """Make an HTTP/1 request that is proper but for a header or two."""
    encoding, body = cast(tuple[str, bytes], draw(encoded_bodies()))
    method = draw(st.sampled_from(("POST", "POST", "POST", "GET", "PUT", "OPTIONS", "PRI", "")))
    path = draw(
        st.sampled_from([*(signal.path for signal in SIGNALS), "/", "/v1/traces?x=%ff", "*", "http://[/v1/traces"])
    )
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Type: {draw(st.sampled_from(TYPES))}"]
    lines += [f"Content-Encoding: {encoding}"] if encoding else []
    lines += draw(st.lists(HEADERS, max_size=2))
    if not any(line.startswith(("Content-Length", "Transfer-Encoding")) for line in lines):
        lines.append(f"Content-Length: {len(body)}")
    if any(line.startswith("Transfer-Encoding") for line in lines):
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    head: bytes = "\r\n".join([*lines, "\r\n"]).encode("latin-1")
    return head + body


def answers_well(doors: OpenDoors, said: bytes) -> None:
    answered = statuses(exchange(doors.http, said))
    assert all(status < 500 or status == 503 for status in answered), (answered, said[:300])


@given(http_requests())
@settings(deadline=None, max_examples=150)
def test_the_http_door_takes_or_refuses_any_request(doors: OpenDoors, said: bytes) -> None:
    answers_well(doors, said)


@given(
    mutated(http_requests())
    | mutated(st.just(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\n\r\n"))
    | st.binary(max_size=200)
)
@settings(deadline=None, max_examples=100)
def test_the_http_door_takes_or_refuses_any_bytes(doors: OpenDoors, said: bytes) -> None:
    answers_well(doors, said)


@given(st.sampled_from(SIGNALS), bodies | mutated(bodies) | st.binary(max_size=300), st.sampled_from(grpc.Compression))
@settings(deadline=None)
def test_the_grpc_door_takes_or_refuses_any_message(
    doors: OpenDoors, signal: Signal, body: bytes, compression: grpc.Compression
) -> None:
    with grpc.insecure_channel(doors.grpc, compression=compression) as channel:
        path = f"/{signal.service}/Export"
        call = channel.unary_unary(path, request_serializer=bytes, response_deserializer=bytes)
        try:
            signal.response.FromString(call(body, timeout=10))
        except grpc.RpcError as refused:
            code = refused.code()
        else:
            code = grpc.StatusCode.INVALID_ARGUMENT
    assert code in REFUSALS


@st.composite
def grpc_frames(draw: Any) -> bytes:
    """Make a gRPC call with a message that is not what its headers say."""
    _, body = draw(encoded_bodies())
    headers = draw(
        st.sampled_from(((), ((b"grpc-encoding", b"gzip"),), ((b"grpc-encoding", b"deflate"),), ((b"x", b"\xff"),)))
    )
    path = draw(st.sampled_from((EXPORT.encode(), b"/", b"", b"/grpc.health.v1.Health/Check")))
    return grpc_call(path, body, headers, draw(st.integers(0, 3)))


@given(grpc_frames() | mutated(grpc_frames()) | st.binary(max_size=200))
@settings(deadline=None)
def test_the_grpc_door_outlives_any_frames(doors: OpenDoors, said: bytes) -> None:
    exchange(doors.grpc, said, patience_seconds=0.05)


def test_a_request_said_as_bytes_is_one_that_the_door_takes(doors: OpenDoors) -> None:
    """Else no answer would ever be seen above."""
    head = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
    assert statuses(exchange(doors.http, head + b"{}")) == [200]
    assert statuses(exchange(doors.http, head + b"{]")) == [400]


def test_a_grpc_call_of_these_frames_is_one_that_the_door_takes(doors: OpenDoors) -> None:
    """Else the frames above would be refused for what they are not about."""
    before = len(doors.stored())
    heard = exchange(doors.grpc, grpc_call(EXPORT.encode(), request(3)))
    assert b"grpc-status" in heard
    assert len(doors.stored()) > before
