"""Drives the normaliser over requests without a bus and keeps the latest revision of every step."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from memory_state import MemoryState
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.bus.protocol import Batch, Record
from collector.normalise.normaliser import Normaliser
from schemas.step import Step
from schemas.steps_codec import decode_steps
from schemas.topics import AGENT_STEPS, OTLP_LOGS, OTLP_SPANS

RECORDED = Path(__file__).parents[1] / "captures" / "recorded"
NOW_NS = 1_800_000_000_000_000_000


class NormaliserDrive:
    """A normaliser with its state. `steps` holds the latest revision of each span's step, `links` what was linked."""

    def __init__(self, **settings: Any) -> None:
        self.state = MemoryState()
        self._settings = settings
        self._waited_ns = 0
        self.latest: dict[str, Step] = {}
        self.topics: list[str] = []
        self._offset = 0
        self.restart()

    def restart(self) -> None:
        """Throw memory away, as a crash does."""
        self.normaliser = Normaliser(**self._settings)
        self.normaliser.restore(self.state)

    def wait(self, seconds: float) -> None:
        """Let bus time pass."""
        self._waited_ns += int(seconds * 1e9)

    def send(self, *records: tuple[str, bytes]) -> None:
        """Hand a batch of (topic, value) over."""
        now = NOW_NS + self._waited_ns + self._offset * 1_000_000
        batch = [Record(topic, 0, self._offset + n, "", value, {}, now) for n, (topic, value) in enumerate(records)]
        self._offset += len(records)
        handled = self.normaliser.handle(Batch(batch, now), self.state)
        self.state.apply(handled.changes)
        for out in handled.outputs:
            self.topics.append(out.topic)
            for step in decode_steps(out.value) if out.topic == AGENT_STEPS else ():
                known = self.latest.get(step.span_id)
                assert known is None or step.revision > known.revision
                self.latest[step.span_id] = step

    def steps(self) -> list[Step]:
        """Give the steps that stand, in their order."""
        return sorted((step for step in self.latest.values() if not step.retracted), key=lambda step: step.order)


def recorded(name: str) -> list[tuple[str, bytes]]:
    """Read a recorded run: (topic, value) in the order it was sent."""
    topics = {"traces": OTLP_SPANS, "logs": OTLP_LOGS}
    files = sorted((RECORDED / name).glob("*.binpb"))
    found = [(topics.get(file.name.split("-")[1]), file.read_bytes()) for file in files]
    return [(topic, value) for topic, value in found if topic]


def one_by_one(requests: Iterable[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Cut requests so that each holds one span or one log record."""
    cut: list[tuple[str, bytes]] = []
    for topic, value in requests:
        cut += _logs(value) if topic == OTLP_LOGS else _spans(value)
    return cut


def _spans(value: bytes) -> Iterable[tuple[str, bytes]]:
    for rs in ExportTraceServiceRequest.FromString(value).resource_spans:
        for scope in rs.scope_spans:
            for span in scope.spans:
                one = ExportTraceServiceRequest()
                under = one.resource_spans.add(resource=rs.resource).scope_spans.add(scope=scope.scope)
                under.spans.add().CopyFrom(span)
                yield OTLP_SPANS, one.SerializeToString()


def _logs(value: bytes) -> Iterable[tuple[str, bytes]]:
    for rl in ExportLogsServiceRequest.FromString(value).resource_logs:
        for scope in rl.scope_logs:
            for record in scope.log_records:
                one = ExportLogsServiceRequest()
                under = one.resource_logs.add(resource=rl.resource).scope_logs.add(scope=scope.scope)
                under.log_records.add().CopyFrom(record)
                yield OTLP_LOGS, one.SerializeToString()
