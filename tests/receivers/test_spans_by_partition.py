"""Requests split by partition: nothing lost, nothing changed, every item where its key belongs."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.bus.murmur2 import partition_of
from collector.protobuf_wire import WireError, field, fields
from collector.receivers.signals import LOGS, METRICS, TRACES
from collector.spans_by_partition import split

NO_LIMIT = 1 << 30
UNKNOWN_GROUP = b"\xa3\x06\x0b\x10\x05\x0c\xa4\x06"
"""Field 100 as a group with a group in it: nobody writes it, every parser steps over it."""

Shape = list[list[list[int]]]
shapes: st.SearchStrategy[Shape] = st.lists(
    st.lists(st.lists(st.integers(1, 40), max_size=6), max_size=3), min_size=1, max_size=3
)


def request_of(shape: Shape, text: str = "x") -> ExportTraceServiceRequest:
    """Make resources of scopes of spans; a number is a span's trace."""
    request = ExportTraceServiceRequest()
    for number, scopes in enumerate(shape):
        resource = request.resource_spans.add(schema_url=f"r{number}")
        for inner, traces in enumerate(scopes):
            scope = resource.scope_spans.add(schema_url=f"s{inner}")
            for index, trace in enumerate(traces):
                scope.spans.add(trace_id=bytes([trace] * 16), span_id=bytes([index + 1] * 8), name=text)
    return request


def spans_in(*values: bytes) -> Counter[tuple[str, str, bytes]]:
    found: Counter[tuple[str, str, bytes]] = Counter()
    for value in values:
        for resource in ExportTraceServiceRequest.FromString(value).resource_spans:
            for scope in resource.scope_spans:
                found.update((resource.schema_url, scope.schema_url, span.SerializeToString()) for span in scope.spans)
    return found


@given(shapes, st.integers(1, 12))
def test_every_span_arrives_once_on_the_partition_of_its_trace(shape: Shape, partitions: int) -> None:
    request = request_of(shape)
    body = request.SerializeToString()
    keys = TRACES.check(request).keys
    parts = split(body, keys, partitions, NO_LIMIT).parts if keys else []
    assert spans_in(*(part.value for part in parts)) == spans_in(body)
    assert len({part.partition for part in parts}) == len(parts)
    for part in parts:
        traces = {key for key in TRACES.check(ExportTraceServiceRequest.FromString(part.value)).keys if key}
        assert {partition_of(trace, partitions) for trace in traces} == {part.partition}
        assert part.key == (traces.pop() if len(traces) == 1 else "")


def test_pieces_hold_several_items_within_their_bound_and_a_large_item_by_itself() -> None:
    request = request_of([[[1, 2, 3, 4, 5, 6]]], "x" * 100)
    request.resource_spans[0].scope_spans[0].spans[2].name = "x" * 2_000
    body, keys = request.SerializeToString(), TRACES.check(request).keys
    found = split(body, keys, 1, 10_000, piece_bytes=400)
    assert not found.too_large
    assert spans_in(*(part.value for part in found.parts)) == spans_in(body)
    assert [len(part.value) > 400 for part in found.parts].count(True) == 1
    assert 3 < len(found.parts) < 6
    assert len(split(body, keys, 1, 1_000, piece_bytes=400).too_large) == 1


@given(shapes, st.integers(120, 400))
def test_no_record_is_over_the_limit_and_nothing_that_fits_is_left_out(shape: Shape, most: int) -> None:
    request = request_of(shape, "x" * 40)
    body = request.SerializeToString()
    keys = TRACES.check(request).keys
    found = split(body, keys, 3, most) if keys else None
    parts = found.parts if found else []
    assert not (found and found.too_large)
    assert all(len(part.value) <= most for part in parts)
    assert spans_in(*(part.value for part in parts)) == spans_in(body)


def test_a_span_that_no_record_can_hold_is_handed_back_and_the_rest_goes_in() -> None:
    request = request_of([[[1, 1]]])
    request.resource_spans[0].scope_spans[0].spans.add(trace_id=bytes([1] * 16), span_id=b"toolarge", name="x" * 1_000)
    body = request.SerializeToString()
    found = split(body, TRACES.check(request).keys, 1, 400)
    (large,) = found.too_large
    assert TRACES.weigh(ExportTraceServiceRequest.FromString(field(1, field(2, large)))) == (1, b"toolarge".hex())
    assert spans_in(*(part.value for part in found.parts)) == spans_in(request_of([[[1, 1]]]).SerializeToString())


def test_with_one_partition_the_bytes_go_in_unchanged() -> None:
    body = request_of([[[1, 2]], [[3]]]).SerializeToString()
    (part,) = split(body, ["1" * 32, "2" * 32, "3" * 32], 1, NO_LIMIT).parts
    assert part == (0, "", body)


@pytest.mark.parametrize("partitions", [2, 12])
def test_fields_nobody_knows_go_along_with_every_part(partitions: int) -> None:
    span = request_of([[[1]]]).resource_spans[0].scope_spans[0].spans[0].SerializeToString()
    other = request_of([[[2]]]).resource_spans[0].scope_spans[0].spans[0].SerializeToString()
    scope = UNKNOWN_GROUP + field(2, span) + b"\x90\x3f\x05" + field(2, other)
    body = field(1, b"\xa1\x06" + bytes(8) + field(2, scope) + UNKNOWN_GROUP)
    keys = TRACES.check(ExportTraceServiceRequest.FromString(body)).keys
    parts = split(body, keys, partitions, NO_LIMIT).parts
    assert len(parts) == len({partition_of(key or "", partitions) for key in keys})
    assert all(part.value.count(UNKNOWN_GROUP) == 2 and b"\x90\x3f\x05" in part.value for part in parts)


def test_log_records_go_by_trace_else_by_session_else_to_partition_zero() -> None:
    request = ExportLogsServiceRequest()
    with_session, without = request.resource_logs.add(), request.resource_logs.add()
    with_session.resource.attributes.add(key="session.id").value.string_value = "of the resource"
    with_session.scope_logs.add().log_records.add(trace_id=bytes(16))
    own = with_session.scope_logs[0].log_records.add()
    own.attributes.add(key="gen_ai.conversation.id").value.string_value = "its own"
    with_session.scope_logs[0].log_records.add(trace_id=bytes([7] * 16))
    without.scope_logs.add().log_records.add()
    checked = LOGS.check(request)
    assert checked.keys == ["of the resource", "its own", "07" * 16, ""]
    parts = split(request.SerializeToString(), checked.keys, 12, NO_LIMIT).parts
    assert {part.partition for part in parts} == {partition_of(key or "", 12) for key in checked.keys}
    assert sum(LOGS.check(ExportLogsServiceRequest.FromString(part.value)).counted for part in parts) == 4


def test_metrics_of_two_services_are_two_records_even_on_one_partition() -> None:
    request = ExportMetricsServiceRequest()
    for name in ("one", "two", "one"):
        resource = request.resource_metrics.add()
        resource.resource.attributes.add(key="service.name").value.string_value = name
        resource.scope_metrics.add().metrics.add(name="cost").sum.data_points.add()
    checked = METRICS.check(request)
    assert checked.counted == 3
    parts = split(request.SerializeToString(), checked.keys, 1, NO_LIMIT, by_key=True).parts
    assert sorted(part.key for part in parts) == ["one", "two"]
    assert sum(METRICS.check(ExportMetricsServiceRequest.FromString(part.value)).counted for part in parts) == 3


@given(st.binary(max_size=200))
def test_any_bytes_are_walked_or_refused(data: bytes) -> None:
    try:
        walked = [(start, end) for _, start, _, end in fields(data, 0, len(data))]
    except WireError:
        return
    assert walked == list(zip([0, *(end for _, end in walked)], [end for _, end in walked], strict=False))
    assert b"".join(data[start:end] for start, end in walked) == data


@given(st.binary(max_size=200), st.sampled_from((TRACES, LOGS, METRICS)))
def test_what_parses_is_split(data: bytes, signal: Any) -> None:
    try:
        request = signal.request.FromString(data)
    except DecodeError:
        return
    checked = signal.check(request)
    if checked.keys:
        parts = split(data, checked.keys, 5, NO_LIMIT, signal.by_key).parts
        kept = [key for part in parts for key in signal.check(signal.request.FromString(part.value)).keys]
        assert sorted(kept) == sorted(key for key in checked.keys if key is not None)
