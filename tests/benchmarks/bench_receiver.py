"""Both doors down to the durable bus: spans per second of the server's CPU time, and Rotel's beside them.

Every run has a server of its own, of ours and of Rotel in turn, and the same requests, no two alike, from the same
senders. Rotel has a blackhole behind it, which is less than a durable bus.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import grpc

from . import Figure, peer_rotel
from .otlp_json import as_json
from .receiving_servers import Server, receiver, rotel
from .span_requests import FEW, MANY, SpanRequests

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
SPANS_A_RUN = 40_000
RUNS = 3
WARM_REQUESTS = 8
HTTP_TYPES = {"HTTP": "application/x-protobuf", "HTTP with JSON": "application/json"}


class Case(NamedTuple):
    """What is sent: how many spans a request and a trace, through which door, to how many partitions."""

    door: str
    batch: int
    traces: int
    partitions: int = 1
    attributes: tuple[tuple[str, int], ...] = MANY
    senders: int = 4

    def __str__(self) -> str:
        """Say it in words."""
        return f"{self.sent}, {self.partitions} partitions"

    @property
    def sent(self) -> str:
        """Say in words what is sent."""
        spread = "one span a trace" if self.traces == self.batch else f"{self.traces} traces"
        few = ", few attributes" if self.attributes is FEW else ""
        many = f", {self.senders} at once" if self.senders != 4 else ""
        return f"{self.door}, {self.batch} spans of 1 kB a request, {spread}{few}{many}"


CASES = (
    Case("gRPC", 500, 20),
    Case("gRPC", 100, 20),
    Case("HTTP", 500, 20),
    Case("gRPC", 100, 20, senders=12),
    Case("gRPC", 500, 20, attributes=FEW),
    Case("gRPC", 100, 20, attributes=FEW),
    Case("HTTP with JSON", 500, 20),
    Case("gRPC", 500, 20, 12),
    Case("gRPC", 500, 500, 12),
    Case("gRPC", 100, 100, 12),
    Case("HTTP", 500, 500, 12),
)
BESIDE_ROTEL = CASES[:6]
"""Partitions are nothing to a blackhole, and Rotel answers JSON with less leniency."""


def run() -> list[Figure]:
    """Measure every case."""
    agent = peer_rotel.rotel_agent_if_any()
    return [figure for case in CASES for figure in _figures(case, agent if case in BESIDE_ROTEL else None)]


def _figures(case: Case, agent: Path | None) -> Iterator[Figure]:
    ours, theirs = [], []
    for _ in range(RUNS):
        ours.append(spans_per_cpu_second(case, receiver(case.partitions))[0])
        if agent is not None:
            theirs.append(spans_per_cpu_second(case, rotel(agent))[0])
    yield f"receiver to durable bus, {case}", max(ours), "spans/CPU-s"
    yield f"  median of {RUNS}, {case}", median(ours), "spans/CPU-s"
    if theirs:
        yield f"Rotel to a blackhole, {case.sent}", max(theirs), "spans/CPU-s"
        yield f"  median of {RUNS}, Rotel, {case.sent}", median(theirs), "spans/CPU-s"


def spans_per_cpu_second(case: Case, started: AbstractContextManager[Server]) -> tuple[float, int]:
    """Send everything to a server; gives spans a CPU-second of it, and how many it accepted in all."""
    bodies = _bodies(case.door.endswith("JSON"), SpanRequests(case.batch, case.traces, case.attributes))
    with started as server, _sender(case, server) as send:
        for body in bodies[:WARM_REQUESTS]:
            send(body)
        begun = server.cpu_seconds()
        with ThreadPoolExecutor(case.senders) as senders:
            taken = sum(senders.map(send, bodies[WARM_REQUESTS:]))
        used = server.cpu_seconds() - begun
    if taken != len(bodies) - WARM_REQUESTS:
        raise RuntimeError(f"{len(bodies) - WARM_REQUESTS - taken} requests were refused: {case}")
    return taken * case.batch / used, len(bodies) * case.batch


@cache
def _bodies(in_json: bool, requests: SpanRequests) -> Sequence[bytes]:
    write = as_json if in_json else type(requests.request(0)).SerializeToString
    return [write(requests.request(number)) for number in range(SPANS_A_RUN // requests.batch)]


@contextmanager
def _sender(case: Case, server: Server) -> Iterator[Callable[[bytes], bool]]:
    """Give what sends a request and tells whether it was taken; safe in several threads."""
    if case.door == "gRPC":
        with grpc.insecure_channel(server.grpc) as channel:
            call: Any = channel.unary_unary(EXPORT, request_serializer=bytes, response_deserializer=bytes)
            yield lambda body: call(body) == b""
        return
    free = [http.client.HTTPConnection(server.http, timeout=30) for _ in range(case.senders)]

    def post(body: bytes) -> bool:
        connection = free.pop()
        connection.request("POST", "/v1/traces", body, {"Content-Type": HTTP_TYPES[case.door]})
        answer = connection.getresponse()
        answer.read()
        free.append(connection)
        return answer.status == 200

    yield post
    for connection in free:
        connection.close()
