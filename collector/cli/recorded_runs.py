"""The recorded runs that come with tracemend, made new: fresh ids, and times that end now."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

LOOPING = (
    "pydantic-ai-loop",
    "langgraph-openinference-loop",
    "openai-agents-oi-loop",
    "claude-code",
    "strands-loop",
)
FAILING = ("langgraph-openinference-toolerr", "pydantic-ai-toolerr")
HEALTHY = ("pydantic-ai-ok", "openai-agents-oi-ok", "maf-ok")


@dataclass
class RecordedRun:
    """One run, ready to be sent. `requests` are (path, protobuf body); `trace_ids` the ids it was given."""

    name: str
    requests: list[tuple[str, bytes]] = field(default_factory=list)
    trace_ids: set[str] = field(default_factory=set)


def recorded_runs(now_ns: int) -> Iterator[RecordedRun]:
    """Make every recorded run anew, ending at `now_ns`."""
    for name in (*LOOPING, *FAILING, *HEALTHY):
        yield _renewed(name, now_ns)


def _renewed(name: str, now_ns: int) -> RecordedRun:
    spans = ExportTraceServiceRequest.FromString(_read(f"{name}.traces.binpb.gz"))
    all_spans = [span for rs in spans.resource_spans for scope in rs.scope_spans for span in scope.spans]
    shift = now_ns - max(span.end_time_unix_nano for span in all_spans)
    ids: dict[bytes, bytes] = {b"": b""}
    for span in all_spans:
        _renew_span(span, shift, ids)
    run = RecordedRun(name)
    logs = _logs(name, shift, ids)
    if logs is not None:
        run.requests.append(("/v1/logs", logs.SerializeToString()))
    run.requests.append(("/v1/traces", spans.SerializeToString()))
    run.trace_ids = {renewed.hex() for renewed in ids.values() if renewed}
    return run


def _renew_span(span: Any, shift: int, ids: dict[bytes, bytes]) -> None:
    span.trace_id = _new_id(span.trace_id, ids)
    span.start_time_unix_nano += shift
    span.end_time_unix_nano += shift
    for event in span.events:
        event.time_unix_nano += shift
    for link in span.links:
        link.trace_id = _new_id(link.trace_id, ids)


def _logs(name: str, shift: int, ids: dict[bytes, bytes]) -> ExportLogsServiceRequest | None:
    resource = files("collector.cli") / "demo_runs" / f"{name}.logs.binpb.gz"
    if not resource.is_file():
        return None
    logs = ExportLogsServiceRequest.FromString(_read(f"{name}.logs.binpb.gz"))
    for rl in logs.resource_logs:
        for scope in rl.scope_logs:
            for record in scope.log_records:
                record.trace_id = _new_id(record.trace_id, ids)
                record.time_unix_nano += shift if record.time_unix_nano else 0
                record.observed_time_unix_nano += shift if record.observed_time_unix_nano else 0
    return logs


def _new_id(old: bytes, ids: dict[bytes, bytes]) -> bytes:
    if old not in ids:
        ids[old] = os.urandom(16)
    return ids[old]


def _read(name: str) -> bytes:
    return gzip.decompress((files("collector.cli") / "demo_runs" / name).read_bytes())
