"""The normaliser by dialect, over the length of a trace and over many live traces, and what it commits for a span."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.bus.protocol import Batch, Outgoing, Record, StateChange
from collector.normalise.normaliser import Normaliser
from schemas.steps_codec import decode_steps
from schemas.topics import AGENT_STEPS, OTLP_SPANS

from . import Figure
from .bench_pipeline import NOW_NS, RECORDED, plain_request
from .committed_state import CommittedState

LAPS = 16
BEST_OF = 3
SPANS_A_REQUEST = 500
CITY = b"Paris"
"""What most recordings ask about: another one in each lap, so that no lap finds the texts of the one before."""


class _TraceRows(CommittedState):
    """Finds the rows of a trace again, as a normaliser does that let go of it in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._by_trace: dict[tuple[str, str], dict[str, bytes]] = {}

    def apply(self, changes: Iterable[StateChange]) -> None:
        """Take changes in."""
        for change in changes:
            trace = self._by_trace.setdefault((change.store, change.key.rpartition("/")[0]), {})
            if change.value is None:
                trace.pop(change.key, None)
            else:
                trace[change.key] = change.value

    def scan(self, store: str, prefix: str = "") -> Iterable[tuple[str, bytes]]:
        """Read a trace's rows."""
        return list(self._by_trace.get((store, prefix.rstrip("/")), {}).items())


def run() -> Iterator[Figure]:
    """Measure CPU time of the stage and of taking its state in; the bus is not part of it."""
    yield from _by_dialect()
    for spans in (400, 6_400, 100_000):
        bodies = [plain_request(n, min(spans, SPANS_A_REQUEST), 1) for n in range(-(-spans // SPANS_A_REQUEST))]
        yield f"one trace of {spans:,} spans", spans / _best([_in_one_trace(body) for body in bodies]), "spans/CPU-s"
    bodies = [_in_turn(lap, at) for lap in range(4) for at in range(0, 10_000, SPANS_A_REQUEST)]
    yield "10,000 live traces in turn", 40_000 / _best(bodies), "spans/CPU-s"
    yield from _committed(bodies[:20])


def _by_dialect() -> Iterator[Figure]:
    groups: dict[str, list[bytes]] = {}
    for file in sorted(RECORDED.glob("*/*traces*.binpb")):
        groups.setdefault(_dialect(file.read_bytes()), []).append(file.read_bytes())
    for dialect, bodies in sorted(groups.items()):
        yield f"dialect {dialect}", *_rate(bodies)
    yield "all recorded dialects", *_rate([body for bodies in groups.values() for body in bodies])


def _rate(bodies: Sequence[bytes]) -> tuple[float, str]:
    spans = sum(len(list(_spans(ExportTraceServiceRequest.FromString(body)))) for body in bodies)
    return LAPS * spans / _best([_renewed(body, lap) for lap in range(LAPS) for body in bodies]), "spans/CPU-s"


def _dialect(body: bytes) -> str:
    """Name the dialect most steps of a recording are of."""
    outputs = Normaliser().handle(Batch([_record(0, body)], NOW_NS), CommittedState()).outputs
    named = [step.dialect for out in outputs if out.topic == AGENT_STEPS for step in decode_steps(out.value)]
    return max(set(named), key=named.count, default="none")


def _best(bodies: Sequence[bytes]) -> float:
    """Give the CPU seconds that requests take, one a batch; the best of a few."""
    return min(_seconds(bodies) for _ in range(BEST_OF))


def _seconds(bodies: Sequence[bytes]) -> float:
    normaliser, state = Normaliser(), _TraceRows()
    normaliser.restore(state)
    outputs: list[Outgoing] = []
    begun = time.process_time()
    for offset, body in enumerate(bodies):
        handled = normaliser.handle(Batch([_record(offset, body)], NOW_NS + offset), state)
        state.apply(handled.changes)
        outputs += handled.outputs
    return time.process_time() - begun


def _committed(bodies: Sequence[bytes]) -> Iterator[Figure]:
    normaliser, state = Normaliser(), _TraceRows()
    records = [_record(offset, body) for offset, body in enumerate(bodies)]
    changes = normaliser.handle(Batch(records, NOW_NS), state).changes
    spans = len(bodies) * SPANS_A_REQUEST
    yield "state written for a span of 1 kB", sum(len(change.value or b"") for change in changes) / spans, "bytes"
    yield "rows of state written for a span", len(changes) / spans, "rows"


def _record(offset: int, body: bytes) -> Record:
    return Record(OTLP_SPANS, 0, offset, "", body, {}, NOW_NS + offset)


def _spans(request: ExportTraceServiceRequest) -> Iterator[object]:
    return (span for rs in request.resource_spans for scope in rs.scope_spans for span in scope.spans)


def _renewed(body: bytes, lap: int) -> bytes:
    request = ExportTraceServiceRequest.FromString(body)
    for span in _spans(request):
        span.trace_id = lap.to_bytes(4, "big") + span.trace_id[4:]  # type: ignore[attr-defined]
    return request.SerializeToString().replace(CITY, b"P%04d" % lap)


def _in_one_trace(body: bytes) -> bytes:
    request = ExportTraceServiceRequest.FromString(body)
    for span in _spans(request):
        span.trace_id = b"\x01" * 16  # type: ignore[attr-defined]
    return request.SerializeToString()


def _in_turn(lap: int, at: int) -> bytes:
    """Make a request with one span of each of 500 traces."""
    request = ExportTraceServiceRequest.FromString(plain_request(lap * 20 + at // 500, SPANS_A_REQUEST, 1))
    for number, span in enumerate(_spans(request), start=at + 1):
        span.trace_id = number.to_bytes(16, "big")  # type: ignore[attr-defined]
    return request.SerializeToString()
