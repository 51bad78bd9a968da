"""Clients that go away, say half of it, say nothing, or come in numbers: the doors stay open for the others."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from open_doors import MOST_CONNECTIONS, OpenDoors, request
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from raw_exchange import connected, exchange, grpc_call

from collector.protobuf_wire import field
from collector.receivers.http_connections import HttpConnections

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PROTOBUF = {"Content-Type": "application/x-protobuf"}
HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"


def connect(doors: OpenDoors) -> socket.socket:
    host, port = doors.http.split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def honest_clients_are_served(doors: OpenDoors) -> None:
    assert doors.ask("POST", "/v1/traces", request(), PROTOBUF)[0] == 200
    with grpc.insecure_channel(doors.grpc) as channel:
        channel.unary_unary(EXPORT, request_serializer=bytes, response_deserializer=bytes)(request(), timeout=10)


def test_a_caller_that_gives_up_while_the_bus_is_writing_harms_nobody(own_doors: OpenDoors) -> None:
    own_doors.bus.held = []
    with grpc.insecure_channel(own_doors.grpc) as channel:
        call = channel.unary_unary(EXPORT, request_serializer=bytes, response_deserializer=bytes)
        with pytest.raises(grpc.RpcError) as given_up:
            call(request(), timeout=0.5)
    assert given_up.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    ((_, waiting),) = own_doors.bus.held
    assert not waiting.cancelled()
    waiting.set_result(None)  # what the bus does once it has written; it raises where the future was cancelled
    own_doors.bus.held = None
    honest_clients_are_served(own_doors)


def test_a_call_without_a_message_is_answered(doors: OpenDoors) -> None:
    with grpc.insecure_channel(doors.grpc) as channel:
        call = channel.stream_unary(EXPORT, request_serializer=bytes, response_deserializer=bytes)
        with pytest.raises(grpc.RpcError) as refused:
            call(iter(()), timeout=10)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_call_whose_message_does_not_come_is_told_to_come_again(doors: OpenDoors) -> None:
    done = threading.Event()

    def never() -> Iterator[bytes]:
        done.wait(10)
        yield from ()

    with grpc.insecure_channel(doors.grpc) as channel:
        call = channel.stream_unary(EXPORT, request_serializer=bytes, response_deserializer=bytes)
        with pytest.raises(grpc.RpcError) as refused:
            call(never(), timeout=10)
        done.set()
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


def test_grpc_connections_are_bounded_in_number_and_silent_ones_are_ended(tmp_path: Path) -> None:
    doors = OpenDoors(tmp_path, grpc={"max_connections": MOST_CONNECTIONS})
    with ExitStack() as stack:
        silent = [stack.enter_context(connected(doors.grpc)) for _ in range(4 * MOST_CONNECTIONS)]
        wait_until(lambda: sum(not _is_over(one) for one in silent) <= MOST_CONNECTIONS)
        assert sum(not _is_over(one) for one in silent) <= MOST_CONNECTIONS
        wait_until(lambda: all(map(_is_over, silent)))
        honest_clients_are_served(doors)
    doors.close()


def _is_over(connection: socket.socket) -> bool:
    """Say whether the other side has ended a connection, having read what it said."""
    connection.settimeout(0)
    try:
        over = connection.recv(65_536) == b""
    except BlockingIOError:
        over = False
    except OSError:
        over = True
    return over


def test_a_head_that_is_never_finished_is_not_waited_for(doors: OpenDoors) -> None:
    with connect(doors) as slow:
        slow.sendall(HEAD)
        assert slow.recv(100) == b""
    honest_clients_are_served(doors)


def test_a_connection_on_which_nothing_more_is_asked_is_closed(doors: OpenDoors) -> None:
    with connect(doors) as idle:
        idle.sendall(HEAD + b"Content-Length: 0\r\n\r\n")
        assert idle.recv(1_000).startswith(b"HTTP/1.1 200")
        assert idle.recv(100) == b""


def test_where_there_are_too_many_connections_the_one_idle_for_longest_makes_room(tmp_path: Path) -> None:
    doors = OpenDoors(tmp_path, http={"idle_timeout_seconds": 30})
    held = [connect(doors) for _ in range(MOST_CONNECTIONS)]
    for one in held:
        assert _is_answered(one)
    wait_until(lambda: _is_answered(held[0]) and _is_taken(doors))
    assert _was_ended(held[1])
    assert _is_answered(held[0])
    for one in held:
        one.close()
    doors.close()


def test_a_connection_that_was_just_answered_makes_no_room(own_doors: OpenDoors) -> None:
    held = [connect(own_doors) for _ in range(MOST_CONNECTIONS)]
    for one in held:
        assert _is_answered(one)
    assert not _is_taken(own_doors)
    assert all(map(_is_answered, held))
    for one in held:
        one.close()


def _is_answered(connection: socket.socket) -> bool:
    connection.sendall(HEAD + b"Content-Length: 0\r\n\r\n")
    return connection.recv(1_000).startswith(b"HTTP/1.1 200")


def _is_taken(doors: OpenDoors) -> bool:
    """Say whether a new connection is taken."""
    with connect(doors) as newcomer:
        try:
            return _is_answered(newcomer)
        except ConnectionError:
            return False


def test_where_all_connections_are_at_work_another_is_ended_and_there_is_room_again(own_doors: OpenDoors) -> None:
    busy = [connect(own_doors) for _ in range(MOST_CONNECTIONS)]
    for one in busy:
        one.sendall(HEAD + b"Content-Length: 5\r\n\r\n")
    wait_until(lambda: _is_full(own_doors))
    for one in busy:
        one.close()
    honest_clients_are_served(own_doors)


def _is_full(doors: OpenDoors) -> bool:
    with connect(doors) as surplus:
        surplus.settimeout(0.1)
        try:
            return _was_ended(surplus)
        except TimeoutError:
            return False


def _was_ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(100) == b""
    except ConnectionResetError:
        return True


def test_a_request_of_nothing_but_empty_spans_is_refused_before_it_is_parsed(roomy_doors: OpenDoors) -> None:
    bomb = field(1, field(2, b"\x12\x00" * 1_500_000))
    status, _, body = roomy_doors.ask(
        "POST", "/v1/traces", gzip.compress(bomb), {**PROTOBUF, "Content-Encoding": "gzip"}
    )
    assert (status, b"no telemetry" in body) == (400, True)


def test_a_compressed_grpc_message_is_bounded_as_it_comes_out(doors: OpenDoors) -> None:
    with grpc.insecure_channel(doors.grpc, compression=grpc.Compression.Gzip) as channel:
        call = channel.unary_unary(EXPORT, request_serializer=bytes, response_deserializer=bytes)
        call(request(3), timeout=10)
        with pytest.raises(grpc.RpcError) as refused:
            call(bytes(20_000_000), timeout=10)
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_span_over_the_record_limit_is_named_and_the_rest_is_taken(tmp_path: Path) -> None:
    doors = OpenDoors(tmp_path, max_record_bytes=300)
    mixed = ExportTraceServiceRequest.FromString(request(4))
    mixed.resource_spans[0].scope_spans[0].spans[1].name = "x" * 1_000
    _, _, body = doors.ask("POST", "/v1/traces", mixed.SerializeToString(), PROTOBUF)
    partial = ExportTraceServiceResponse.FromString(body).partial_success
    values = [record.value for record in doors.stored()]
    doors.close()
    assert (partial.rejected_spans, "0202020202020202" in partial.error_message) == (1, True)
    assert all(len(value) <= 300 for value in values)
    assert sum(value.count(b"\x0a\x10") for value in values) == 3


def test_a_body_that_says_less_than_it_is_takes_no_room_until_it_comes(own_doors: OpenDoors) -> None:
    with connect(own_doors) as slow:
        slow.sendall(HEAD + b"Content-Length: 999999\r\n\r\n" + gzip.compress(b"x"))
        honest_clients_are_served(own_doors)


def test_calls_whose_path_is_no_text_do_not_end_the_door_and_calls_under_way_are_finished(own_doors: OpenDoors) -> None:
    own_doors.bus.held = []
    with grpc.insecure_channel(own_doors.grpc) as channel:
        call = channel.unary_unary(EXPORT, request_serializer=bytes, response_deserializer=bytes)
        under_way = call.future(request(), timeout=20)
        wait_until(lambda: bool(own_doors.bus.held))
        for _ in range(3):
            wait_until(lambda: _has_said(own_doors, grpc_call(b"/\xff", b"")))
        ((_, waiting),) = own_doors.bus.held
        waiting.set_result(None)
        assert under_way.result() == b""
    own_doors.bus.held = None
    with grpc.insecure_channel(own_doors.grpc) as channel:
        call = channel.unary_unary(EXPORT, request_serializer=bytes, response_deserializer=bytes)
        call(request(), timeout=10, wait_for_ready=True)


def _has_said(doors: OpenDoors, said: bytes) -> bool:
    """Say bytes to the gRPC door; it may be opening anew."""
    try:
        exchange(doors.grpc, said)
    except ConnectionError:
        return False
    return True


def wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not true() and time.monotonic() < until:
        time.sleep(0.01)


def test_a_request_that_is_read_after_its_connection_was_ended_is_not_taken() -> None:
    """Its sender never hears of it and sends it again."""
    taken = []

    async def take(request: web.BaseRequest) -> web.StreamResponse:
        taken.append(request)
        return web.Response()

    async def ended() -> int:
        connections = HttpConnections(take, most=1, idle_seconds=10)
        response = await connections._answer(make_mocked_request("POST", "/v1/traces"))  # its connection is not open
        return response.status

    assert asyncio.run(ended()) == 503
    assert taken == []
