"""The whole pipeline as its users start it: what it takes for minutes on end, how soon a loop is told, how it starts.

The load comes from this process, over HTTP, one request of 500 spans at a time, each of 20 traces of their own; it is
held back only while a stage has more than `AHEAD` of them to read, so that what is measured is what the pipeline keeps
up with.
Memory is shown by process and by the minute: caches fill up to their bounds, and from then on it has to stay.
"""

from __future__ import annotations

import http.client
import json
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import quantiles
from typing import Protocol

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from schemas.topics import AGENT_STEPS

from . import Figure
from .bench_pipeline import SPANS_A_REQUEST, plain_request
from .running_pipeline import RunningPipeline, running_pipeline

AHEAD = 30
"""Requests that the stage furthest behind may have to read still: 15,000 spans, a second of the target. With much less
the load waits for the sink, which gathers for most of a second what it inserts."""
MEMORY_EVERY_SECONDS = 60.0
TRACES = 20
WARM_SECONDS = 5.0
IDLE_SECONDS = 5.0
LOOPS = 60
LOOP_EVERY_SECONDS = 0.1
REPETITIONS = 3
LOST_SECONDS = 10.0
"""How long a loop that is not told counts."""


def run(minutes: float = 0.5) -> list[Figure]:
    """Start a pipeline, watch it idle, fill it for so many minutes, then load it by half; start it again."""
    with tempfile.TemporaryDirectory() as folder:
        with running_pipeline(folder=Path(folder)) as pipeline:
            figures = [*_idle(pipeline), *_latency(pipeline, "idle")]
            sustained = list(_sustained(pipeline, minutes * 60))
            with _Load(pipeline, sustained[0][1] / 2):
                figures += sustained + list(_latency(pipeline, "half load"))
        with running_pipeline(folder=Path(folder)) as again:
            return [*figures, ("from the command to ready, data dir as it was left", again.started_seconds, "s")]


class HasDoors(Protocol):
    """What a pipeline can be reached by: its OTLP door over HTTP, and its HTTP API."""

    @property
    def http(self) -> str:
        """Give the address of the first."""

    @property
    def metrics(self) -> str:
        """Give the address of the second."""


class Bodies:
    """Requests of agent spans of about 1 kB, no two of the same traces, made for next to nothing."""

    def __init__(self) -> None:
        request = ExportTraceServiceRequest.FromString(plain_request(1, SPANS_A_REQUEST, TRACES))
        for span in request.resource_spans[0].scope_spans[0].spans:
            span.trace_id = b"PREFIX00" + span.trace_id[8:]
        self._template = request.SerializeToString()
        self._made = time.time_ns()

    def next(self) -> bytes:
        """Make the next one."""
        self._made += 1
        return self._template.replace(b"PREFIX00", self._made.to_bytes(8, "big"))


class _Load(threading.Thread):
    """Sends at a steady rate beside what else goes on, for as long as the block runs."""

    def __init__(self, pipeline: RunningPipeline, spans_per_second: float) -> None:
        super().__init__(daemon=True)
        self._pipeline = pipeline
        self._every = SPANS_A_REQUEST / spans_per_second
        self._over = threading.Event()

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        """Send; what could not be sent in time is made up for."""
        bodies, door = Bodies(), Door(self._pipeline.http)
        due = time.monotonic()
        while not self._over.wait(max(0.0, due - time.monotonic())):
            door.post(bodies.next())
            due += self._every


class Door:
    """A connection to the OTLP door that is kept."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=30)

    def post(self, body: bytes) -> None:
        """Send a request, again while there is no room for it."""
        while True:
            self._connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
            answer = self._connection.getresponse()
            answer.read()
            if answer.status == 200:
                return
            time.sleep(0.2)


def _idle(pipeline: RunningPipeline) -> Iterator[Figure]:
    before = sum(pipeline.cpu_seconds().values())
    time.sleep(IDLE_SECONDS)
    used = sum(pipeline.cpu_seconds().values()) - before
    yield "processor time while nothing comes in, all processes", used / IDLE_SECONDS * 100, "% of a core"


def _sustained(pipeline: RunningPipeline, seconds: float) -> Iterator[Figure]:
    bodies, door = Bodies(), Door(pipeline.http)
    _fill(pipeline, door, bodies, WARM_SECONDS)
    pipeline.settle()
    begun, cpu, memory = time.perf_counter(), pipeline.cpu_seconds(), [pipeline.resident_bytes()]
    sent, parts = 0, max(2, round(seconds / MEMORY_EVERY_SECONDS))
    for _ in range(parts):
        sent += _fill(pipeline, door, bodies, seconds / parts)
        memory.append(pipeline.resident_bytes())
    pipeline.settle()
    passed = time.perf_counter() - begun
    used = {name: seconds - cpu[name] for name, seconds in pipeline.cpu_seconds().items()}
    yield "whole pipeline, agent spans of 1 kB, sustained", sent / passed, "spans/s"
    yield "for how long it was", passed, "s"
    for name, seconds_used in used.items():
        yield f"processor time, {name}", seconds_used / sent * 1e6, "µs/span"
    yield from _memory(memory, seconds / parts)
    yield "the bus's files at the end", pipeline.bus_bytes() / 2**20, "MiB"


def _memory(held: Sequence[Mapping[str, int]], every_seconds: float) -> Iterator[Figure]:
    for number, by_process in enumerate(held):
        when = f"after {number * every_seconds:.0f} s"
        yield f"resident memory of all processes, {when}", sum(by_process.values()) / 2**20, "MiB"
        for name, bytes_ in by_process.items():
            yield f"resident memory, {name}, {when}", bytes_ / 2**20, "MiB"


def _fill(pipeline: RunningPipeline, door: Door, bodies: Bodies, seconds: float) -> int:
    """Send as much as is taken in so much time; returns how many spans."""
    until, sent = time.perf_counter() + seconds, 0
    while time.perf_counter() < until:
        for _ in range(5):
            door.post(bodies.next())
            sent += SPANS_A_REQUEST
        while _behind(pipeline) > AHEAD:
            time.sleep(0.1)
    return sent


def _behind(pipeline: RunningPipeline) -> float:
    """Count the requests that the stage furthest behind has to read still; of steps there is a record a trace."""
    lags = pipeline.lags()
    return max((lag / (TRACES if topic == AGENT_STEPS else 1) for (_, topic), lag in lags.items()), default=0)


def _latency(pipeline: RunningPipeline, when: str) -> Iterator[Figure]:
    hundredths = quantiles(sorted(latencies(pipeline)), n=100)
    yield f"span sent to detection told, {when}, median", hundredths[49] * 1e3, "ms"
    yield f"span sent to detection told, {when}, p99", hundredths[98] * 1e3, "ms"


def latencies(pipeline: HasDoors) -> Iterator[float]:
    """Send loops one span at a time; the third repetition is the one that can be told."""
    stream = http.client.HTTPConnection(pipeline.metrics, timeout=LOST_SECONDS)
    stream.request("GET", "/v1/detections/stream")
    events, door = stream.getresponse(), Door(pipeline.http)
    events.readline()
    base = time.time_ns()
    for number in range(LOOPS):
        trace_id = (base + number).to_bytes(16, "big")
        sent = 0.0
        for repetition in range(REPETITIONS):
            sent = time.perf_counter()
            door.post(_loop_span(trace_id, repetition))
        yield time.perf_counter() - sent if _told(events, trace_id.hex()) else LOST_SECONDS
        time.sleep(LOOP_EVERY_SECONDS)
    stream.close()


def _loop_span(trace_id: bytes, repetition: int) -> bytes:
    request = ExportTraceServiceRequest.FromString(plain_request(1, 1, 1))
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.trace_id, span.span_id = trace_id, (repetition + 1).to_bytes(8, "big")
    return request.SerializeToString()


def _told(events: http.client.HTTPResponse, trace_id: str) -> bool:
    """Read the stream until the loop of a trace is in it; the stream says every second that it is still there."""
    deadline = time.monotonic() + LOST_SECONDS
    try:
        while time.monotonic() < deadline and (line := events.readline()):
            if line.startswith(b"data: ") and json.loads(line[6:])["trace_id"] == trace_id:
                return True
    except TimeoutError:
        pass
    return False
