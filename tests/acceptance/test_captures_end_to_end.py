"""All recorded payloads through a running pipeline: a loop where there was one, none where there was none."""

from __future__ import annotations

from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pipeline_process import PipelineProcess

RECORDED = Path(__file__).parents[1] / "captures" / "recorded"
LOOPING = {
    "adk-loop",
    "adk-old-loop",
    "autogen-native",
    "claude-agent-oi",
    "claude-code",
    "js-grpc",
    "js-proto",
    "langfuse",
    "langgraph-openinference-handoff",
    "langgraph-openinference-loop",
    "maf-loop",
    "openai-agents-oi-loop",
    "openai-agents-oi-maxturns",
    "openai-agents-traceloop-loop",
    "openai-agents-v2-loop",
    "openai-official-latest-loop",
    "openai-official-old-loop",
    "plain-grpc",
    "plain-http",
    "pydantic-ai-loop",
    "pydantic-ai-v1-loop",
    "smolagents-oi-loop",
    "strands-loop",
    "traceloop-anthropic",
    "traceloop-langgraph",
    "traceloop-openai",
}
"""Captures in which the same call was made four times or more, by the scripts that made them (see their provenance)."""


def payloads(name: str) -> list[tuple[str, bytes]]:
    files = sorted((RECORDED / name).glob("*.binpb"))
    return [(f"/v1/{file.name.split('-')[1]}", file.read_bytes()) for file in files]


def trace_ids(name: str) -> set[str]:
    requests = [ExportTraceServiceRequest.FromString(body) for path, body in payloads(name) if path == "/v1/traces"]
    spans = [span for r in requests for rs in r.resource_spans for scope in rs.scope_spans for span in scope.spans]
    return {span.trace_id.hex() for span in spans}


def test_every_looping_capture_is_found_and_no_other(pipeline: PipelineProcess) -> None:
    names = sorted(path.name for path in RECORDED.iterdir() if path.is_dir())
    for name in names:
        for path, body in payloads(name):
            assert pipeline.post(path, body)[0] == 200
    pipeline.settle()
    looping = {document["trace_id"] for document in pipeline.detections("--type", "loop")}
    found = {name for name in names if trace_ids(name) & looping}
    assert found == LOOPING & set(names)


def test_every_span_is_in_the_store_once_also_when_a_client_repeats_itself(pipeline: PipelineProcess) -> None:
    requests = payloads("strands-loop") + payloads("maf-loop")
    for path, body in requests * 3:
        assert pipeline.post(path, body)[0] == 200
    pipeline.settle()
    rows, spans = pipeline.query("SELECT count(), uniqExact(TraceId, SpanId) FROM otel_traces").split("\t")
    assert rows == spans
    assert int(rows) == 21 + 14


def test_what_was_found_is_there_after_a_restart(pipeline: PipelineProcess) -> None:
    for path, body in payloads("strands-loop"):
        pipeline.post(path, body)
    pipeline.settle()
    before = pipeline.detections()
    assert pipeline.stop() == 0
    assert pipeline.detections() == before
    pipeline.start()
    assert pipeline.detections() == before
