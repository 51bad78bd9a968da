"""The whole way: receiver to durable bus, normaliser, span sink, everything as a process, latency, state."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.admission import Admission
from collector.bus.embedded import EmbeddedBus
from collector.bus.protocol import Batch, Outgoing, Record, StateChange
from collector.components import detector_class, detector_names
from collector.normalise.normaliser import Normaliser
from collector.receivers.intake import Intake
from collector.receivers.signals import TRACES
from processors.meaning.static_embedder import StaticEmbedder
from processors.runtime import Runtime
from processors.spending.model_catalogue import PricedModels
from schemas.topics import AGENT_STEPS, OTLP_SPANS
from sinks.clickhouse import ClickHouseSink
from sinks.store import Store

from . import Figure
from .committed_state import CommittedState

RECORDED = Path(__file__).parents[1] / "captures" / "recorded"
NOW_NS = 1_800_000_000_000_000_000
SPANS_A_REQUEST = 500


EMBEDDER = StaticEmbedder()


def run() -> list[Figure]:
    """Measure each part by itself, on spans of about 1 kB and on all recorded dialects."""
    return [*_receiver(), *_bus(), *_normaliser(), *_runtime(), *_sink()]


def plain_request(number: int, spans: int = SPANS_A_REQUEST, traces: int = 20) -> bytes:
    """Make a request of agent spans of about 1 kB each."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    scope.scope.name = "bench"
    for index in range(spans):
        scope.spans.append(_span(number, index, traces))
    return request.SerializeToString()


def _span(number: int, index: int, traces: int) -> Span:
    start = time.time_ns() + index * 1_000
    span = Span(
        trace_id=(number * traces + index % traces + 1).to_bytes(16, "big"),
        span_id=(number * 1_000_000 + index + 1).to_bytes(8, "big"),
        name="execute_tool search",
        start_time_unix_nano=start,
        end_time_unix_nano=start + 1_000_000,
    )
    texts = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "search",
        "gen_ai.agent.name": "bench",
        "gen_ai.conversation.id": "c1",
        "gen_ai.tool.call.arguments": f'{{"query": "number {index} of {number}"}}',
        "gen_ai.tool.call.result": f"result {index} " + "x" * 640,
    }
    for key, value in texts.items():
        span.attributes.add(key=key).value.string_value = value
    return span


def _cpu(work: Callable[[], int]) -> float:
    """Give how many per second of this process's CPU time."""
    begun = time.process_time()
    count = work()
    return count / (time.process_time() - begun)


def _receiver() -> Iterator[Figure]:
    bodies = [plain_request(number) for number in range(40)]
    with tempfile.TemporaryDirectory() as folder:
        bus = EmbeddedBus(Path(folder))
        intake = Intake(bus, Admission(8 << 30))

        async def take_all() -> None:
            for at in range(0, len(bodies), 4):
                await asyncio.gather(*(intake.take(TRACES, body, "grpc") for body in bodies[at : at + 4]))

        def work() -> int:
            asyncio.run(take_all())
            return len(bodies) * SPANS_A_REQUEST

        yield "receiver to durable bus, without its door, 1 kB spans", _cpu(work), "spans/CPU-s"
        bus.close()


def _bus() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        bus = EmbeddedBus(Path(folder))
        begun = time.perf_counter()
        for _ in range(200):
            bus.publish([Outgoing("usage", "k", b"v")]).result()
        yield "one record until it is durable", (time.perf_counter() - begun) / 200 * 1e3, "ms"
        bus.close()


def _requests_of_recordings(laps: int) -> tuple[list[bytes], int]:
    bodies, spans = [], 0
    for lap in range(laps):
        for file in sorted(RECORDED.glob("*/*traces*.binpb")):
            request = ExportTraceServiceRequest.FromString(file.read_bytes())
            for rs in request.resource_spans:
                for span in (span for scope in rs.scope_spans for span in scope.spans):
                    span.trace_id = lap.to_bytes(4, "big") + span.trace_id[4:]
                    spans += 1
            bodies.append(request.SerializeToString())
    return bodies, spans


def normalised(bodies: list[bytes]) -> list[Outgoing]:
    """Run requests through a normaliser; gives the records of all steps, and whatever else it writes."""
    normaliser, state = Normaliser(), CommittedState()
    normaliser.restore(state)
    outputs: list[Outgoing] = []
    for offset, body in enumerate(bodies):
        record = Record(OTLP_SPANS, 0, offset, "", body, {}, NOW_NS + offset)
        handled = normaliser.handle(Batch([record], NOW_NS + offset), state)
        state.apply(handled.changes)
        outputs += handled.outputs
    return outputs


def _normaliser() -> Iterator[Figure]:
    bodies, spans = _requests_of_recordings(8)

    def work() -> int:
        normalised(bodies)
        return spans

    yield "normaliser, all recorded dialects", _cpu(work), "spans/CPU-s"


def _runtime() -> Iterator[Figure]:
    for steps in (400, 6_400, 100_000):
        yield from _runtime_over(steps)


def _runtime_over(steps: int) -> Iterator[Figure]:
    requests = -(-steps // SPANS_A_REQUEST)
    outputs = normalised([plain_request(n, min(steps, 500), 1) for n in range(requests)])
    value_of_run = [out._replace(key="default/run") for out in outputs if out.topic == AGENT_STEPS]
    detectors = [
        detector_class(name)(detector_class(name).Config(), PricedModels(), EMBEDDER) for name in detector_names()
    ]
    runtime, state = Runtime("bench", detectors, lambda: NOW_NS), CommittedState()
    runtime.restore(state)

    def work() -> int:
        for offset, out in enumerate(value_of_run):
            record = Record(AGENT_STEPS, 0, offset, out.key, out.value, {}, NOW_NS + offset)
            changes: list[StateChange] = list(runtime.handle(Batch([record], NOW_NS + offset), state).changes)
            state.apply(changes)
        return steps

    yield f"all detectors together, {steps:,} steps", _cpu(work), "steps/CPU-s"
    if steps == 400:
        yield "state of a live run of 400 steps, all detectors", state.bytes_of("runs"), "bytes"


def _sink() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        sink = ClickHouseSink(lambda: Store(f"chdb:///{folder}/store"))
        sink.restore(CommittedState())
        bodies = [plain_request(number) for number in range(40)]
        now = time.time_ns()
        begun = time.perf_counter()
        for at in range(0, len(bodies), 20):
            records = [Record(OTLP_SPANS, 0, at + n, "", body, {}, now) for n, body in enumerate(bodies[at : at + 20])]
            sink.deliver(Batch(records, now), f"bench-{at}", again=False)
        yield "span sink into chDB, 10,000 spans a batch", 20_000 / (time.perf_counter() - begun), "spans/s"
