"""Both doors down to the durable bus, the server in a process of its own: spans per second of its CPU time."""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.admission import Admission
from collector.bus.embedded import EmbeddedBus
from collector.receivers.intake import Intake
from collector.receivers.otlp import OtlpReceiver
from collector.receivers.otlp_config import GrpcConfig, HttpConfig, OtlpReceiverConfig, Protocols

from . import Figure

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
ANY_PORT = "127.0.0.1:0"
SPANS_A_CASE = 40_000
SENDERS = 4
WARM_REQUESTS = 8
WORDS = [
    f"{first}{second}" for first in ("plan", "book", "find", "price", "route") for second in ("s", "ing", "er", "ed")
]


class Case(NamedTuple):
    """What is sent: how many spans a request and a trace, through which door, to how many partitions."""

    door: str
    batch: int
    traces: int
    partitions: int = 1

    def __str__(self) -> str:
        """Say it in words."""
        spread = "one span a trace" if self.traces == self.batch else f"{self.traces} traces"
        return f"{self.door}, {self.batch} spans of 1 kB a request, {spread}, {self.partitions} partitions"


CASES = (
    Case("gRPC", 100, 20),
    Case("gRPC", 500, 20),
    Case("HTTP", 500, 20),
    Case("HTTP with JSON", 500, 20),
    Case("gRPC", 500, 20, 12),
    Case("gRPC", 500, 500, 12),
)


def run() -> list[Figure]:
    """Measure every case with a fresh server."""
    return [(f"receiver to durable bus, {case}", _spans_per_cpu_second(case), "spans/CPU-s") for case in CASES]


def _spans_per_cpu_second(case: Case) -> float:
    bodies = [_request(number, case) for number in range(SPANS_A_CASE // case.batch)]
    with _server(case.partitions) as (ports, cpu_seconds), _sender(case, ports) as send:
        for body in bodies[:WARM_REQUESTS]:
            send(body)
        begun = cpu_seconds()
        with ThreadPoolExecutor(SENDERS) as senders:
            sent = sum(senders.map(send, bodies[WARM_REQUESTS:]))
        return sent * case.batch / (cpu_seconds() - begun)


def _request(number: int, case: Case) -> bytes:
    """Make a request of spans of about 1 kB whose texts are not all the same."""
    chance = random.Random(number)  # noqa: S311  # no secret
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for index in range(case.batch):
        trace = number * case.traces + index % case.traces + 1
        span = scope.spans.add(
            trace_id=(trace * 0x9E3779B97F4A7C15 % 2**128).to_bytes(16, "big"),
            span_id=(number * case.batch + index + 1).to_bytes(8, "big"),
            name="execute_tool search",
            start_time_unix_nano=1_800_000_000_000_000_000 + index,
            end_time_unix_nano=1_800_000_000_001_000_000 + index,
        )
        for key, words in (
            ("gen_ai.tool.name", 1),
            ("gen_ai.tool.call.arguments", 30),
            ("gen_ai.tool.call.result", 90),
        ):
            span.attributes.add(key=key).value.string_value = " ".join(chance.choices(WORDS, k=words))
    if case.door.endswith("JSON"):
        return _as_json(request)
    return request.SerializeToString()


def _as_json(request: ExportTraceServiceRequest) -> bytes:
    document = MessageToDict(request)
    for original, span in zip(
        request.resource_spans[0].scope_spans[0].spans,
        document["resourceSpans"][0]["scopeSpans"][0]["spans"],
        strict=True,
    ):
        span.update(traceId=original.trace_id.hex(), spanId=original.span_id.hex())
    return json.dumps(document).encode()


@contextmanager
def _sender(case: Case, ports: dict[str, str]) -> Iterator[Callable[[bytes], int]]:
    if case.door == "gRPC":
        with grpc.insecure_channel(ports["otlp grpc"]) as channel:
            call: Any = channel.unary_unary(EXPORT, request_serializer=bytes, response_deserializer=bytes)
            yield lambda body: len([call(body)])
        return
    kind = "application/json" if case.door.endswith("JSON") else "application/x-protobuf"
    free = [http.client.HTTPConnection(ports["otlp http"], timeout=30) for _ in range(SENDERS)]

    def post(body: bytes) -> int:
        connection = free.pop()
        connection.request("POST", "/v1/traces", body, {"Content-Type": kind})
        answer = connection.getresponse()
        answer.read()
        free.append(connection)
        return int(answer.status == 200)

    yield post
    for connection in free:
        connection.close()


@contextmanager
def _server(partitions: int) -> Iterator[tuple[dict[str, str], Callable[[], float]]]:
    """Start this module as a server; it says its ports, and then its CPU seconds for each line it reads."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.benchmarks.bench_receiver", folder, str(partitions)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            asked, said = process.stdin, process.stdout
            if asked is None or said is None:
                raise RuntimeError("the server has no pipes")

            def cpu_seconds() -> float:
                print(file=asked, flush=True)
                return float(said.readline())

            yield json.loads(said.readline()), cpu_seconds
            asked.close()


async def serve(folder: Path, partitions: int) -> None:
    """Receive until standard input ends."""
    bus = EmbeddedBus(folder, partitions)
    protocols = Protocols(grpc=GrpcConfig(endpoint=ANY_PORT), http=HttpConfig(endpoint=ANY_PORT))
    receiver = OtlpReceiver(OtlpReceiverConfig(protocols=protocols), Intake(bus, Admission(8 << 30)))
    await receiver.start()
    print(json.dumps(dict(receiver.doors())), flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(used.ru_utime + used.ru_stime, flush=True)
    await receiver.stop(1)
    bus.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
