"""OTLP over gRPC, and real exporters through both doors."""

from __future__ import annotations

import gc
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from open_doors import OpenDoors, request
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from collector.bus.protocol import BusUnavailable

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def raw(channel: grpc.Channel, method: str) -> Any:
    """Call a method with bytes as they are."""
    return channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)


def trailing(error: grpc.RpcError) -> dict[str, Any]:
    """Read the metadata that came after an answer."""
    pairs: Any = error.trailing_metadata() or ()
    return {pair[0]: pair[1] for pair in pairs}


def export(doors: OpenDoors, body: bytes) -> ExportTraceServiceResponse:
    with grpc.insecure_channel(doors.grpc) as channel:
        answer: bytes = raw(channel, EXPORT)(body, timeout=10)
    return ExportTraceServiceResponse.FromString(answer)


def test_spans_are_taken_unchanged(own_doors: OpenDoors) -> None:
    assert not export(own_doors, request(3)).HasField("partial_success")
    (record,) = own_doors.stored()
    assert record.value == request(3)


def test_an_empty_request_succeeds(doors: OpenDoors) -> None:
    assert not export(doors, b"").HasField("partial_success")


def test_logs_are_taken(doors: OpenDoors) -> None:
    with grpc.insecure_channel(doors.grpc) as channel:
        LogsServiceStub(channel).Export(ExportLogsServiceRequest(), timeout=10)  # type: ignore[no-untyped-call]  # generated


def generators() -> int:
    """Count asynchronous generators that are alive; those of Cython are of a type of its own."""
    return sum(type(one).__name__ == "async_generator" for one in gc.get_objects())


def test_a_message_is_let_go_of_as_soon_as_it_is_answered(own_doors: OpenDoors) -> None:
    """And not only once the collector of circles comes by, which is rare: grpc.aio's own generator is part of one."""
    export(own_doors, request(3))
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            export(own_doors, request(3))
        held = [
            one for one in gc.get_objects() if type(one).__name__ == "async_generator"
        ]  # Cython has a type of its own
    finally:
        gc.enable()
    assert len(held) <= 1, "only the last call may still be on its way out"


def test_what_is_no_request_is_an_invalid_argument(doors: OpenDoors) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        export(doors, b"\xff\xff")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_message_over_the_limit_is_refused_for_good(doors: OpenDoors) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        export(doors, request(1, "x" * 2_000_000))
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "grpc-status-details-bin" not in trailing(refused.value)


def test_overload_is_unavailable_with_a_delay(own_doors: OpenDoors) -> None:
    own_doors.bus.refusal = BusUnavailable("disk full", 3.0)
    with pytest.raises(grpc.RpcError) as refused:
        export(own_doors, request())
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert b"google.rpc.RetryInfo" in trailing(refused.value)["grpc-status-details-bin"]


def test_the_health_service_says_serving(doors: OpenDoors) -> None:
    with grpc.insecure_channel(doors.grpc) as channel:
        assert raw(channel, "/grpc.health.v1.Health/Check")(b"", timeout=10) == b"\x08\x01"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_bytes_are_taken_or_an_invalid_argument(doors: OpenDoors, body: bytes) -> None:
    assert _code(doors, body) in (grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT)


def _code(doors: OpenDoors, body: bytes) -> grpc.StatusCode:
    try:
        export(doors, body)
    except grpc.RpcError as refused:
        return refused.code()
    return grpc.StatusCode.OK


def _exporters(doors: OpenDoors) -> list[SpanExporter]:
    return [
        GrpcExporter(doors.grpc, insecure=True),
        HttpExporter(f"http://{doors.http}/v1/traces"),
        HttpExporter(f"http://{doors.http}/v1/traces", compression=Compression.Gzip),
    ]


@pytest.mark.parametrize("number", range(3), ids=["grpc", "http", "http with gzip"])
def test_the_python_sdk_exports_through_it(own_doors: OpenDoors, number: int) -> None:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(_exporters(own_doors)[number]))
    with provider.get_tracer("live").start_as_current_span("invoke_agent live") as span:
        span.set_attribute("gen_ai.operation.name", "invoke_agent")
    assert provider.force_flush(10_000)
    provider.shutdown()
    (record,) = own_doors.stored()
    found = ExportTraceServiceRequest.FromString(record.value).resource_spans[0].scope_spans[0]
    assert (found.scope.name, found.spans[0].name) == ("live", "invoke_agent live")
