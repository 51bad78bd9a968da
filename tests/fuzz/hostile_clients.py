"""Clients that mean harm, each bounded in what it sends and in time, and an honest one beside them that takes notes.

All of them talk to one `tracemend up` on this machine.
"""

from __future__ import annotations

import gzip
import http.client
import struct
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Self

import cramjam
import grpc
import zstandard
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from raw_exchange import END_HEADERS, HEADERS, PREFACE, SETTINGS, connected, exchange, frame, grpc_call, literal

from collector.protobuf_wire import field

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
RESET = 3
SESSION = 3
"""Where /proc/PID/stat has the session, counted behind the name."""
PROTOBUF = "application/x-protobuf"
HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
MIB = 1 << 20
BOMB_BYTES = 1 << 30
TEXT_BYTES = 100_000
DEEP = 1_000_000
SLOW_CLIENTS = 60
CONNECTIONS = 400
FLOODERS, FLOOD_SPANS = 3, 200
RESETS = 4_000
LONGEST_SECONDS = 20.0
"""After so long an attack ends, whatever it has sent."""
_numbers = count(1)
"""Of honest requests: none is made twice, whoever sends it, or spans of two clients would count as one stored twice."""

Ended = Callable[[], bool]


class Doors(NamedTuple):
    """Where the doors are."""

    http: str
    grpc: str


# --- the honest client ---


class HonestClient:
    """Sends a few spans at a time through both doors by turns, and again where it is told to come again."""

    def __init__(self, doors: Doors, every_seconds: float = 0.05) -> None:
        self._doors = doors
        self._every = every_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.latencies: list[float] = []
        """From the first try of a request to its acknowledgement, seconds."""
        self.acknowledged: dict[str, str] = {}
        """Names by span id."""
        self.refusals = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        with grpc.insecure_channel(self._doors.grpc, options=[("grpc.max_reconnect_backoff_ms", 500)]) as channel:
            call = channel.unary_unary(EXPORT, request_serializer=bytes, response_deserializer=bytes)
            while not self._ended.is_set():
                number = next(_numbers)
                body, named = honest_request(number)
                began = time.perf_counter()
                while not (self._by_grpc(call, body) if number % 2 else self._by_http(body)):
                    self.refusals += 1
                    time.sleep(0.1)
                self.latencies.append(time.perf_counter() - began)
                self.acknowledged.update(named)
                self._ended.wait(self._every)

    def _by_grpc(self, call: Callable[..., bytes], body: bytes) -> bool:
        try:
            call(body, timeout=10)
        except grpc.RpcError as refused:
            code = refused.code()
            if code not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise
            return False
        return True

    def _by_http(self, body: bytes) -> bool:
        connection = http.client.HTTPConnection(self._doors.http, timeout=10)
        try:
            connection.request("POST", "/v1/traces", body, {"Content-Type": PROTOBUF})
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        if status not in (200, 429, 503):
            raise RuntimeError(f"an honest request was answered with {status}")
        return status == 200


def honest_request(number: int) -> tuple[bytes, dict[str, str]]:
    """Make a request of five spans of an agent, and the names of its spans by their ids."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "honest"
    scope = resource.scope_spans.add()
    named = {}
    for index in range(5):
        span = scope.spans.add(trace_id=b"honest" + number.to_bytes(10, "big"), name=f"chat {number}/{index}")
        span.span_id = (number * 8 + index + 1).to_bytes(8, "big")
        span.start_time_unix_nano = time.time_ns()
        span.end_time_unix_nano = span.start_time_unix_nano + 1_000
        span.attributes.add(key="gen_ai.operation.name").value.string_value = "chat"
        named[span.span_id.hex()] = span.name
    return request.SerializeToString(), named


# --- bombs ---


@cache
def bombs() -> dict[str, bytes]:
    """Make what becomes a gibibyte of zeros, by every codec."""
    zeros = bytes(BOMB_BYTES)  # not touched before it is compressed piece by piece: takes no memory
    return {
        "gzip": _repeated(16 + zlib.MAX_WBITS),
        "deflate": _repeated(zlib.MAX_WBITS),
        "zstd": zstandard.ZstdCompressor(level=1).compress(zeros),
        "lz4": bytes(cramjam.lz4.compress(zeros)),
        "snappy": _snappy_frames(),
    }


def _repeated(window_bits: int) -> bytes:
    """Compress one MiB between two full flushes, and say it 1,024 times."""
    compressor: Any = zlib.compressobj(9, zlib.DEFLATED, window_bits)
    begun: bytes = compressor.compress(bytes(MIB)) + compressor.flush(zlib.Z_FULL_FLUSH)
    once_more: bytes = compressor.compress(bytes(MIB)) + compressor.flush(zlib.Z_FULL_FLUSH)
    return begun + once_more * (BOMB_BYTES // MIB - 1)


def _snappy_frames() -> bytes:
    once = bytes(cramjam.snappy.compress(bytes(MIB)))
    return once[:10] + once[10:] * (BOMB_BYTES // MIB)


def zip_bombs(doors: Doors, ended: Ended) -> None:
    """Send a gibibyte by every codec, over HTTP and, by gzip, over gRPC."""
    for encoding, bomb in bombs().items():
        if not ended():
            post(doors, bomb, PROTOBUF, encoding)
    for _ in range(3):
        if not ended():
            exchange(doors.grpc, grpc_call(EXPORT.encode(), bombs()["gzip"], [(b"grpc-encoding", b"gzip")], flag=1))


# --- what is hard to read ---


def hard_texts(doors: Doors, ended: Ended) -> None:
    """Send spans whose attributes are texts that a careless pattern never comes to the end of."""
    texts = [
        "(a+)+" * (TEXT_BYTES // 5),
        "a" * TEXT_BYTES + "!",
        " " * TEXT_BYTES + "x",
        "1." * (TEXT_BYTES // 2),
        '{"a":' * (TEXT_BYTES // 5),
        "[" * DEEP,
        "Error: " * (TEXT_BYTES // 7),
        "\\" * TEXT_BYTES,
    ]
    for number, text in enumerate(texts):
        body = agent_span(number, text)
        if not ended():
            post(doors, body, PROTOBUF)
        if not ended():
            call(doors, body)


def agent_span(number: int, text: str) -> bytes:
    """Make a trace of three agent spans, with a text wherever a text is read."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for index, kind in enumerate(("chat", "execute_tool", "chat")):
        span = scope.spans.add(
            trace_id=b"hard text %06d" % number, span_id=b"%08d" % (index + 1), name=f"{kind} {text[:200]}"
        )
        span.start_time_unix_nano = time.time_ns() + index
        span.end_time_unix_nano = span.start_time_unix_nano + 1
        span.status.code = Status.STATUS_CODE_ERROR
        span.status.message = text
        known = {"gen_ai.operation.name": kind, "gen_ai.tool.name": "t", "gen_ai.tool.call.arguments": text}
        for key in (
            "gen_ai.input.messages",
            "gen_ai.output.messages",
            "gen_ai.tool.call.result",
            "error.type",
            "input.value",
        ):
            known[key] = text
        for key, value in known.items():
            span.attributes.add(key=key).value.string_value = value
        event = span.events.add(name="exception")
        event.attributes.add(key="exception.message").value.string_value = text
        event.attributes.add(key="exception.stacktrace").value.string_value = text
    return request.SerializeToString()


def deep_nesting(doors: Doors, ended: Ended) -> None:
    """Send JSON and protobuf that is a million deep, in the request itself and in what is known of it."""
    value = b'{"arrayValue":{"values":[' * DEEP + b"]}}" * DEEP
    inside = b'{"resourceSpans":[{"resource":{"attributes":[{"key":"k","value":' + value + b"}]}}]}"
    nested = b""
    for _ in range(3_000):
        nested = field(5, field(1, nested))
    attribute = field(1, field(1, field(1, field(1, b"k") + field(2, nested))))
    for body, kind in (
        (b"[" * DEEP, "application/json"),
        (b'{"a":' * DEEP, "application/json"),
        (inside, "application/json"),
        (attribute, PROTOBUF),
        (b"\x0a\x80\x80\x80\x80\x08" * 1_000, PROTOBUF),
        (b"\x0b" * DEEP, PROTOBUF),
    ):
        if not ended():
            post(doors, body, kind)
        if kind == PROTOBUF and not ended():
            call(doors, body)


# --- slow clients, floods ---


def slow_clients(doors: Doors, ended: Ended) -> None:
    """Hold connections with heads, bodies and calls that come byte by byte and never end."""
    begun = [HEAD, HEAD + b"Content-Length: 999999\r\n\r\n", HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n"]
    half_a_call = grpc_call(EXPORT.encode(), bytes(50_000))[:-20_000]
    with ExitStack() as stack:
        held = []
        for number in range(SLOW_CLIENTS):
            with suppress(OSError):
                one = stack.enter_context(connected(doors.grpc if number % 4 == 3 else doors.http))
                one.sendall(half_a_call if number % 4 == 3 else begun[number % 4])
                held.append(one)
        while not ended():
            for one in held:
                with suppress(OSError):
                    one.sendall(b"X")
            time.sleep(0.2)


def connection_flood(doors: Doors, ended: Ended) -> None:
    """Open connections and say nothing, and others when those are ended."""
    with ExitStack() as stack:
        for number in range(CONNECTIONS):
            with suppress(OSError):
                stack.enter_context(connected(doors.grpc if number % 2 else doors.http))
        while not ended():
            time.sleep(0.1)


def request_flood(doors: Doors, ended: Ended) -> None:
    """Send requests as fast as they are answered, from several clients through both doors."""
    body = flood_body()

    def flood(number: int) -> None:
        while not ended():
            with suppress(OSError, grpc.RpcError, http.client.HTTPException):
                _flood(doors, number, body, ended)

    threads = [threading.Thread(target=flood, args=(number,)) for number in range(FLOODERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _flood(doors: Doors, number: int, body: bytes, ended: Ended) -> None:
    if number % 2:
        with grpc.insecure_channel(doors.grpc) as channel:
            export = channel.unary_unary(EXPORT, request_serializer=bytes, response_deserializer=bytes)
            while not ended():
                export(body, timeout=10)
        return
    connection = http.client.HTTPConnection(doors.http, timeout=10)
    while not ended():
        connection.request("POST", "/v1/traces", body, {"Content-Type": PROTOBUF})
        connection.getresponse().read()


@cache
def flood_body() -> bytes:
    """Make a request of spans that are no agent's."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number in range(FLOOD_SPANS):
        span = scope.spans.add(trace_id=b"flood" + number.to_bytes(11, "big"), span_id=(number + 1).to_bytes(8, "big"))
        span.name = "GET /"
        span.attributes.add(key="http.target").value.string_value = "x" * 300
    return request.SerializeToString()


def stream_resets(doors: Doors, ended: Ended) -> None:
    """Begin calls and take them back at once, by the thousand."""
    path = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", EXPORT.encode()), (b":authority", b"x")]
    block = b"".join(map(literal, [*path, (b"te", b"trailers"), (b"content-type", b"application/grpc")]))
    while not ended():
        with suppress(OSError), connected(doors.grpc) as connection:
            connection.sendall(PREFACE + frame(SETTINGS, 0, 0, b""))
            for number in range(RESETS):
                stream = 2 * number + 1
                said = frame(HEADERS, END_HEADERS, stream, block) + frame(RESET, 0, stream, struct.pack(">I", 8))
                connection.sendall(said)
            time.sleep(0.2)


def unreadable_paths(doors: Doors, ended: Ended) -> None:
    """Call what is no text."""
    while not ended():
        with suppress(OSError):
            exchange(doors.grpc, grpc_call(b"/\xff", b""))
        time.sleep(0.3)


ATTACKS: dict[str, Callable[[Doors, Ended], None]] = {
    attack.__name__: attack
    for attack in (
        zip_bombs,
        hard_texts,
        deep_nesting,
        slow_clients,
        connection_flood,
        request_flood,
        stream_resets,
        unreadable_paths,
    )
}


# --- how things are sent, how the server fares ---


def post(doors: Doors, body: bytes, kind: str, encoding: str = "") -> None:
    """Send a body over HTTP, what is large compressed, and read whatever is answered."""
    if len(body) > MIB and not encoding:
        body, encoding = gzip.compress(body, 1), "gzip"
    connection = http.client.HTTPConnection(doors.http, timeout=LONGEST_SECONDS)
    with suppress(OSError, http.client.HTTPException):
        connection.request("POST", "/v1/traces", body, {"Content-Type": kind, "Content-Encoding": encoding})
        connection.getresponse().read()
    connection.close()


def call(doors: Doors, body: bytes) -> None:
    """Send a message over gRPC, whatever is answered."""
    with suppress(grpc.RpcError), grpc.insecure_channel(doors.grpc) as channel:
        channel.unary_unary(EXPORT, request_serializer=bytes, response_deserializer=bytes)(
            body, timeout=LONGEST_SECONDS
        )


class Watch(NamedTuple):
    """What a process and those it started take of memory together, bytes."""

    pid: int

    def reset(self) -> int:
        """Begin to look for peaks from here; returns what is held now."""
        for folder in self._folders():
            (folder / "clear_refs").write_text("5")
        return self._sum("VmRSS")

    def peak(self) -> int:
        """Give the most they held since, each at its own time."""
        return self._sum("VmHWM")

    def _folders(self) -> list[Path]:
        """Find the processes of its session."""
        stats = [(path.parent, path.read_text()) for path in Path("/proc").glob("[0-9]*/stat") if path.exists()]
        return [folder for folder, text in stats if int(text.rpartition(")")[2].split()[SESSION]) == self.pid]

    def _sum(self, name: str) -> int:
        lines = [line for folder in self._folders() for line in (folder / "status").read_text().splitlines()]
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def lasting(seconds: float) -> Ended:
    """Say whether the time of an attack is over."""
    until = time.monotonic() + min(seconds, LONGEST_SECONDS)
    return lambda: time.monotonic() >= until
