"""`kill -9` while spans stream in: nothing that was acknowledged is lost, nothing is there twice."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pipeline_process import PipelineProcess
from test_captures_end_to_end import payloads

SPANS = 50_000
KILLS = 3

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]


def copies(wanted: int = SPANS) -> list[bytes]:
    """Make requests of so many spans or a few more from a recorded run, each copy a trace of its own."""
    ((_, body),) = payloads("strands-loop")
    made, spans, number = [], 0, 0
    while spans < wanted:
        request = ExportTraceServiceRequest()
        for _ in range(12):
            number += 1
            one = ExportTraceServiceRequest.FromString(body)
            for rs in one.resource_spans:
                for span in (span for scope in rs.scope_spans for span in scope.spans):
                    span.trace_id = number.to_bytes(16, "big")
                    spans += 1
            request.MergeFrom(one)
        made.append(request.SerializeToString())
    return made


class Client:
    """Sends as an SDK does: again and again until it hears OK, also what it was not answered."""

    def __init__(self, pipeline: PipelineProcess) -> None:
        self.pipeline = pipeline
        self.sent = 0
        self.up = threading.Event()

    def send_all(self, bodies: list[bytes]) -> None:
        for body in bodies:
            while not self._send(body):
                self.up.wait(60)
            self.sent += 1

    def _send(self, body: bytes) -> bool:
        try:
            return self.pipeline.post("/v1/traces", body)[0] == 200
        except (OSError, KeyError):
            return False


def test_every_span_once_and_every_detection_once_after_three_kills(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    bodies = copies()
    pipeline = PipelineProcess(tmp_path / "data").start()
    request.addfinalizer(pipeline.kill_if_running)
    client = Client(pipeline)
    client.up.set()
    sender = threading.Thread(target=client.send_all, args=(bodies,), daemon=True)
    sender.start()
    random = Random(7)  # noqa: S311  # when to kill, no secret
    for number in range(KILLS):
        target = len(bodies) * (number + 1) // (KILLS + 2) + random.randint(0, 9)
        while client.sent < target:
            sender.join(0.02)
        client.up.clear()
        pipeline.kill()
        pipeline.start()
        client.up.set()
    sender.join(300)
    assert not sender.is_alive()
    pipeline.settle(200)
    total = sum(len(request_spans(body)) for body in bodies)
    rows, spans = pipeline.query("SELECT count(), uniqExact(TraceId, SpanId) FROM otel_traces").split("\t")
    assert (int(rows), int(spans)) == (total, total)
    found = Counter(document["trace_id"] for document in pipeline.detections("--type", "loop"))
    traces = {span.trace_id.hex() for body in bodies for span in request_spans(body)}
    assert set(found) == traces
    assert set(found.values()) == {1}


def request_spans(body: bytes) -> list:  # type: ignore[type-arg]  # generated messages
    request = ExportTraceServiceRequest.FromString(body)
    return [span for rs in request.resource_spans for scope in rs.scope_spans for span in scope.spans]
