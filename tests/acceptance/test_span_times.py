"""Spans of any time that the wire can say: each is in the table, or among the dead letters with all it held."""

from __future__ import annotations

import time

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pipeline_process import PipelineProcess

from collector.bus.embedded import EmbeddedBus
from schemas.topics import DEAD_LETTERS

LARGEST = 2**64 - 1
NOW = time.time_ns()
OUTSIDE = {
    "no time": (0, 0),
    "1970": (1, 2),
    "1970 until 2554": (1, LARGEST),
    "2262, the last a signed number says": (2**63 - 1, 2**63 - 1),
    "2262, the first it does not": (2**63, 2**63 + 5),
    "2554": (LARGEST, LARGEST),
    "2554, ending before it began": (LARGEST, 1),
}
INSIDE = {
    "now": (NOW, NOW + 1),
    "from now until 2554": (NOW, LARGEST),
    "ending before it began": (NOW, NOW - 5),
    "ending in 1970": (NOW, 0),
}


def request() -> ExportTraceServiceRequest:
    made = ExportTraceServiceRequest()
    scope = made.resource_spans.add().scope_spans.add()
    for number, (name, (start, end)) in enumerate((OUTSIDE | INSIDE).items(), start=1):
        span = scope.spans.add(name=name, trace_id=number.to_bytes(16, "big"), span_id=number.to_bytes(8, "big"))
        span.start_time_unix_nano, span.end_time_unix_nano = start, end
        span.attributes.add(key="gen_ai.operation.name").value.string_value = "chat"
        span.events.add(name="e", time_unix_nano=end)
    return made


def test_every_span_is_stored_or_among_the_dead_letters_with_all_it_held(pipeline: PipelineProcess) -> None:
    sent = request()
    assert pipeline.post("/v1/traces", sent.SerializeToString())[0] == 200
    pipeline.settle()
    rows = pipeline.query("SELECT SpanName, Duration FROM otel_traces ORDER BY SpanName").splitlines()
    stored = {name: int(duration) for name, duration in (row.split("\t") for row in rows)}
    assert stored == {name: max(0, end - start) for name, (start, end) in INSIDE.items()}
    assert len(rows) == len(INSIDE)
    assert int(pipeline.query("SELECT count() FROM dead_letters WHERE Topic = 'otlp_spans'")) > 0
    assert b'"failing"' not in pipeline.get("metrics", "/healthz")[1]
    assert pipeline.stop() == 0
    by_name = {span.name: span for span in sent.resource_spans[0].scope_spans[0].spans}
    assert dead(pipeline) == {name: by_name[name].SerializeToString(deterministic=True) for name in OUTSIDE}


def dead(pipeline: PipelineProcess) -> dict[str, bytes]:
    """Read the spans among the dead letters back, each once."""
    bus = EmbeddedBus(pipeline.data_dir / "bus")
    reader = bus.reader([DEAD_LETTERS])
    try:
        for part in range(bus.partitions(DEAD_LETTERS)):
            reader.seek(DEAD_LETTERS, part, 0)
        letters = reader.poll(timeout_seconds=0.2).records
    finally:
        reader.close()
        bus.close()
    requests = [ExportTraceServiceRequest.FromString(letter.value) for letter in letters]
    found = [span for one in requests for rs in one.resource_spans for scope in rs.scope_spans for span in scope.spans]
    assert len(found) == len({span.span_id for span in found})
    return {span.name: span.SerializeToString(deterministic=True) for span in found}
