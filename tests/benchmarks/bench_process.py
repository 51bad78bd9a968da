"""The whole pipeline as a process: how many agent spans a second it takes to the store, and how soon a loop is told."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.running import RunningInfo, read_running

from . import Figure
from .bench_pipeline import plain_request

DOORS = (
    "receivers::otlp::protocols::grpc::endpoint",
    "receivers::otlp::protocols::http::endpoint",
    "extensions::clickhouse_http::endpoint",
    "service::telemetry::metrics::endpoint",
)
REQUESTS = 40
LOOPS = 60
LOOP_EVERY_SECONDS = 0.1
REPETITIONS = 3


def run() -> list[Figure]:
    """Start a pipeline, fill it, and watch it."""
    with tempfile.TemporaryDirectory() as folder, _pipeline(Path(folder)) as running:
        latency = sorted(_latencies(running))
        rate = _throughput(running)
    hundredths = quantiles(latency, n=100)
    return [
        ("whole pipeline, agent spans of 1 kB, until all are stored and judged", rate, "spans/s"),
        ("span sent to detection told, idle pipeline, median", hundredths[49] * 1e3, "ms"),
        ("span sent to detection told, idle pipeline, p99", hundredths[98] * 1e3, "ms"),
    ]


@contextmanager
def _pipeline(folder: Path) -> Iterator[RunningInfo]:
    options = [part for door in DOORS for part in ("--set", f"{door}=127.0.0.1:0")]
    command = [sys.executable, "-m", "collector.cli.main", "up", "--data-dir", str(folder), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while (running := read_running(folder)) is None:
            time.sleep(0.05)
        yield running
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


def _throughput(running: RunningInfo) -> float:
    bodies = [plain_request(1_000 + number) for number in range(REQUESTS)]
    begun = time.perf_counter()
    for body in bodies:
        _post(running.http, body)
    quiet = 0
    while quiet < 3:
        time.sleep(0.1)
        quiet = quiet + 1 if _lag(running.metrics) == 0 else 0
    return REQUESTS * 500 / (time.perf_counter() - begun - 0.3)


def _latencies(running: RunningInfo) -> list[float]:
    """Send loops one span at a time; the third repetition is the one that can be told."""
    stream = http.client.HTTPConnection(running.metrics, timeout=10)
    stream.request("GET", "/v1/detections/stream")
    events = stream.getresponse()
    events.readline()
    found: list[float] = []
    for number in range(1, LOOPS + 1):
        sent = 0.0
        for repetition in range(REPETITIONS):
            sent = time.time()
            _post(running.http, _loop_span(number, repetition))
        document = _next_detection(events)
        found.append(max(0.0, time.time() - sent) if document else 10.0)
        time.sleep(LOOP_EVERY_SECONDS)
    stream.close()
    return found


def _loop_span(number: int, repetition: int) -> bytes:
    request = ExportTraceServiceRequest.FromString(plain_request(number, 1, 1))
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.span_id = (number * 10 + repetition + 1).to_bytes(8, "big")
    return request.SerializeToString()


def _next_detection(events: http.client.HTTPResponse) -> bool:
    while line := events.readline():
        if line.startswith(b"data: "):
            return bool(json.loads(line[6:]))
    return False


def _post(door: str, body: bytes) -> None:
    connection = http.client.HTTPConnection(door, timeout=30)
    connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
    connection.getresponse().read()
    connection.close()


def _lag(door: str) -> float:
    connection = http.client.HTTPConnection(door, timeout=30)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("tracemend_stage_lag_records{"))
