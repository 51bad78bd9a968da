"""Records that another program put into partitions of its own choosing: found, and split as the receiver would have."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.bus.murmur2 import partition_of
from collector.bus.protocol import Outgoing, Record
from collector.misrouted import is_misrouted, routed
from schemas.topics import (
    CONTENT_HASH_HEADER,
    OTLP_LOGS,
    OTLP_METRICS,
    OTLP_SPANS,
    REPLAY_FOR_HEADER,
    REPLAY_HEADER,
    TENANT_HEADER,
)

PARTITIONS = 12
Span = tuple[bytes, bytes]

traces = st.sampled_from([bytes([number]) * 16 for number in range(1, 30)] + [b"", bytes(16), b"short"])
requests = st.lists(st.lists(st.lists(traces, max_size=4), max_size=3), max_size=3)


def body_of(resources: Sequence[Sequence[Sequence[bytes]]]) -> bytes:
    request, number = ExportTraceServiceRequest(), 0
    for scopes in resources:
        resource = request.resource_spans.add()
        for spans in scopes:
            scope = resource.scope_spans.add()
            for trace in spans:
                number += 1
                scope.spans.add(trace_id=trace, span_id=number.to_bytes(8, "big"))
    return request.SerializeToString()


def record(value: bytes, partition: int, key: str = "", topic: str = OTLP_SPANS) -> Record:
    return Record(topic, partition, 0, key, value, {TENANT_HEADER: b"acme"}, 1)


def spans_in(values: Sequence[bytes]) -> list[Span]:
    return sorted(
        (span.trace_id, span.span_id)
        for value in values
        for resource in ExportTraceServiceRequest.FromString(value).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    )


def on_the_bus(one: Outgoing) -> Record:
    assert one.partition is not None
    return Record(one.topic, one.partition, 0, one.key, one.value, one.headers, 1)


@given(requests, st.integers(0, PARTITIONS - 1))
def test_each_span_is_published_once_where_it_belongs_and_then_left_alone(
    resources: Sequence[Sequence[Sequence[bytes]]], partition: int
) -> None:
    foreign = record(body_of(resources), partition)
    home = {
        partition_of(trace.hex(), PARTITIONS) if len(trace) == 16 and any(trace) else 0 for trace in traces_of(foreign)
    }
    assert is_misrouted(foreign, PARTITIONS) == bool(home - {partition})
    if not is_misrouted(foreign, PARTITIONS):
        return
    parts = routed(foreign, PARTITIONS)
    assert spans_in([part.value for part in parts]) == spans_in([foreign.value])
    for part in parts:
        assert part.headers[TENANT_HEADER] == b"acme"
        assert not is_misrouted(on_the_bus(part), PARTITIONS)
        bare = on_the_bus(part)._replace(headers={})
        assert not is_misrouted(bare, PARTITIONS), "by what it holds, not by its header alone"
    assert routed(foreign._replace(partition=(partition + 1) % PARTITIONS, offset=9), PARTITIONS) == parts


def traces_of(one: Record) -> set[bytes]:
    return {trace for trace, _ in spans_in([one.value])}


def test_a_record_that_stands_where_its_trace_belongs_is_not_looked_into() -> None:
    trace = b"\x07" * 16
    home = partition_of(trace.hex(), PARTITIONS)
    assert not is_misrouted(record(b"\xff not protobuf", home, trace.hex()), PARTITIONS)
    assert not is_misrouted(record(body_of([[[trace]]]), (home + 1) % PARTITIONS), 1)


@pytest.mark.parametrize("topic", [OTLP_SPANS, OTLP_LOGS])
def test_what_cannot_be_read_is_left_to_those_who_dead_letter_it(topic: str) -> None:
    assert not is_misrouted(record(b"\xff\xff\xff", 3, topic=topic), PARTITIONS)


def test_logs_go_to_their_trace_else_to_their_session_and_metrics_stay() -> None:
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.add(key="session.id").value.string_value = "s1"
    logs = resource.scope_logs.add().log_records
    logs.add(trace_id=b"\x05" * 16).body.string_value = "of a trace"
    logs.add().body.string_value = "of a session"
    homes = {partition_of((b"\x05" * 16).hex(), PARTITIONS), partition_of("s1", PARTITIONS)}
    elsewhere = next(number for number in range(PARTITIONS) if number not in homes)
    foreign = record(request.SerializeToString(), elsewhere, topic=OTLP_LOGS)
    assert is_misrouted(foreign, PARTITIONS)
    parts = routed(foreign, PARTITIONS)
    assert {part.partition for part in parts} == homes
    assert all(CONTENT_HASH_HEADER in part.headers for part in parts)
    assert not is_misrouted(foreign._replace(topic=OTLP_METRICS), PARTITIONS)


def test_what_was_put_back_for_the_normaliser_is_for_everybody_once_it_is_where_it_belongs() -> None:
    foreign = record(body_of([[[bytes([number]) * 16 for number in range(1, 9)]]]), 0)
    put_back = foreign._replace(headers={**foreign.headers, REPLAY_HEADER: b"1", REPLAY_FOR_HEADER: b"normaliser"})
    assert is_misrouted(put_back, PARTITIONS)
    for part in routed(put_back, PARTITIONS):
        assert REPLAY_FOR_HEADER not in part.headers
        assert part.headers[REPLAY_HEADER] == b"1"
