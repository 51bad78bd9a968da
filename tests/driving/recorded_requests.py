"""What is sent: recorded runs that loop and runs that do not, moved to now, each copy a run of its own."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

RECORDED = Path(__file__).parents[1] / "captures" / "recorded"
RUNS = ("strands-loop", "pydantic-ai-loop", "maf-loop", "adk-loop", "pydantic-ai-ok", "maf-ok", "openai-agents-oi-ok")
COPIES_A_REQUEST = 6


def requests(seed: int, count: int) -> list[bytes]:
    """Make so many requests of a few runs each; the same seed gives the same, but for the times."""
    chance = Random(seed)  # noqa: S311  # no secret
    recorded = [ExportTraceServiceRequest.FromString(body) for name in RUNS for body in recorded_bodies(name)]
    moved_to = time.time_ns() - 5_000_000_000
    number = seed << 40
    made: list[bytes] = []
    for _ in range(count):
        whole = ExportTraceServiceRequest()
        for _ in range(COPIES_A_REQUEST):
            number += 1
            whole.MergeFrom(moved_copy(chance.choice(recorded), number, moved_to))
        made.append(whole.SerializeToString())
    return made


def span_count(bodies: list[bytes]) -> int:
    """Count the spans of requests."""
    return sum(
        len(scope.spans)
        for body in bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
    )


def recorded_bodies(name: str) -> list[bytes]:
    return [file.read_bytes() for file in sorted((RECORDED / name).glob("*traces*.binpb"))]


def moved_copy(recorded: ExportTraceServiceRequest, number: int, begins_ns: int) -> ExportTraceServiceRequest:
    """Copy a run under other trace ids, so that it begins at a time."""
    copy = ExportTraceServiceRequest()
    copy.CopyFrom(recorded)
    spans = [span for rs in copy.resource_spans for scope in rs.scope_spans for span in scope.spans]
    shift = begins_ns - min(span.start_time_unix_nano for span in spans)
    for span in spans:
        span.trace_id = number.to_bytes(8, "big") + span.trace_id[8:]
        span.start_time_unix_nano += shift
        span.end_time_unix_nano += shift
        for event in span.events:
            event.time_unix_nano += shift
    return copy
