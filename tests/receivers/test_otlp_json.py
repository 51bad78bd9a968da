"""OTLP/JSON: what is understood beyond the letter, what is refused, and where it says the fault is."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.receivers.intake import Malformed
from collector.receivers.otlp_json import from_json

IDS = {"traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "eee19b7ec3c1b174"}


def span_of(**fields: Any) -> Any:
    """Read one span with these fields."""
    document = {"resourceSpans": [{"scopeSpans": [{"spans": [{**IDS, **fields}]}]}]}
    request: Any = from_json(ExportTraceServiceRequest, orjson.dumps(document))
    return request.resource_spans[0].scope_spans[0].spans[0]


def value_of(value: Any) -> Any:
    return span_of(attributes=[{"key": "k", "value": value}]).attributes[0].value


LENIENT: list[tuple[dict[str, Any], str, Any]] = [
    ({"kind": "SPAN_KIND_CLIENT"}, "kind", 3),
    ({"kind": 3}, "kind", 3),
    ({"kind": "3"}, "kind", 3),
    ({"kind": 99}, "kind", 99),
    ({"startTimeUnixNano": "1544712660000000000"}, "start_time_unix_nano", 1_544_712_660_000_000_000),
    ({"startTimeUnixNano": 1_544_712_660_000_000_000}, "start_time_unix_nano", 1_544_712_660_000_000_000),
    ({"startTimeUnixNano": 1.5e18}, "start_time_unix_nano", 1_500_000_000_000_000_000),
    ({"start_time_unix_nano": 7}, "start_time_unix_nano", 7),
    ({"droppedAttributesCount": "7"}, "dropped_attributes_count", 7),
    ({"name": None}, "name", ""),
    ({"somethingNew": {"deep": [1]}}, "name", ""),
    ({"parentSpanId": ""}, "parent_span_id", b""),
    ({"parentSpanId": "EEE19B7EC3C1B174"}, "parent_span_id", bytes.fromhex("eee19b7ec3c1b174")),
]


@pytest.mark.parametrize(("fields", "name", "expected"), LENIENT, ids=[str(row[0]) for row in LENIENT])
def test_fields_are_read_as_leniently_as_the_collector_reads_them(
    fields: dict[str, Any], name: str, expected: Any
) -> None:
    assert getattr(span_of(**fields), name) == expected


def test_values_of_every_kind_are_read() -> None:
    assert value_of({"stringValue": "a"}).string_value == "a"
    assert value_of({"intValue": "-9223372036854775808"}).int_value == -(2**63)
    assert value_of({"doubleValue": "1.5"}).double_value == 1.5
    assert math.isnan(value_of({"doubleValue": "NaN"}).double_value)
    assert value_of({"boolValue": True}).bool_value is True
    assert value_of({"bytesValue": "_-8"}).bytes_value == value_of({"bytesValue": "/+8="}).bytes_value == b"\xff\xef"
    assert value_of({"arrayValue": {"values": [{"intValue": 1}]}}).array_value.values[0].int_value == 1
    assert value_of({"kvlist_value": {"values": [{"key": "a"}]}}).kvlist_value.values[0].key == "a"
    assert value_of({"arrayValue": {}}).WhichOneof("value") == "array_value"


@pytest.mark.parametrize("number", [-1.7976931348623157e308, 2.0**63, 2**63, 1.5])
def test_an_attributes_number_that_is_no_integer_of_64_bits_is_a_double(number: float) -> None:
    assert value_of({"intValue": number}).double_value == number


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"traceId": "zz"}, "traceId"),
    ({"traceId": "z" * 32}, "traceId"),
    ({"traceId": "5b8e fff7 9803 8103 d269 b633"}, "traceId"),
    ({"spanId": "abcd"}, "spanId"),
    ({"traceId": [1]}, "traceId"),
    ({"kind": 99_999_999_999}, "kind"),
    ({"kind": "SPAN_KIND_NOBODY"}, "kind"),
    ({"startTimeUnixNano": -5}, "startTimeUnixNano"),
    ({"startTimeUnixNano": 1e300}, "startTimeUnixNano"),
    ({"startTimeUnixNano": "9" * 5_000}, "startTimeUnixNano"),
    ({"startTimeUnixNano": 1.5}, "startTimeUnixNano"),
    ({"name": 5}, "name"),
    ({"attributes": {}}, "attributes"),
    ({"attributes": [None]}, "attributes[0]"),
    ({"attributes": [{"value": {"bytesValue": 5}}]}, "attributes[0].value.bytesValue"),
    ({"status": []}, "status"),
]


@pytest.mark.parametrize(("fields", "path"), WRONG, ids=[str(row[0])[:40] for row in WRONG])
def test_what_cannot_be_read_is_refused_with_the_place_of_the_fault(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(Malformed) as refused:
        span_of(**fields)
    assert refused.value.at == f"resourceSpans[0].scopeSpans[0].spans[0].{path}"


@pytest.mark.parametrize("levels", [200, 5_000, 1_000_000])
def test_nesting_is_bounded(levels: int) -> None:
    value = b'{"arrayValue":{"values":[' * levels + b"{}" + b"]}}" * levels
    body = b'{"resourceSpans":[{"resource":{"attributes":[{"value":' + value + b"}]}}]}"
    with pytest.raises(Malformed):
        from_json(ExportTraceServiceRequest, body)


@pytest.mark.parametrize("part", [b"{},", b"[],", b"[[]],"])
def test_a_large_body_of_nothing_but_brackets_is_refused_before_it_is_parsed(part: bytes) -> None:
    with pytest.raises(Malformed, match="no telemetry"):
        from_json(ExportTraceServiceRequest, b'{"x":[' + part * (1 << 20) + b"1]}")


def test_what_is_written_by_protobuf_is_read_again() -> None:
    span = span_of(attributes=[{"key": "k", "value": {"doubleValue": 2.5}}], kind=2, startTimeUnixNano=5)
    again = MessageToDict(span)
    again.update(IDS)
    assert span_of(**again) == span


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("resourceSpans", "scopeSpans", "spans", "attributes", "value", "kind", "traceId", "x")),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_any_json_is_read_or_refused(value: Any) -> None:
    try:
        ExportTraceServiceRequest.FromString(
            from_json(ExportTraceServiceRequest, orjson.dumps(value)).SerializeToString()
        )
    except Malformed:
        return


VALUES = st.one_of(
    st.none(),
    st.text(),
    st.integers(-3, 3),
    st.fixed_dictionaries(
        {},
        optional={"stringValue": st.one_of(st.text(), st.none(), st.integers(-9, 9)), "intValue": st.integers(-9, 9)},
    ),
)
ATTRIBUTES = st.lists(
    st.fixed_dictionaries({}, optional={"key": st.one_of(st.text(), st.none(), st.integers(-9, 9)), "value": VALUES})
)


@given(ATTRIBUTES)
def test_the_short_way_for_attributes_reads_what_the_long_way_reads(attributes: list[dict[str, object]]) -> None:
    """An unknown member is ignored, and an attribute with one goes the long way."""
    long_way = [{**attribute, "unknown": 1} for attribute in attributes]
    assert _read(attributes) == _read(long_way)


def _read(attributes: list[dict[str, object]]) -> bytes | str:
    body = orjson.dumps({"resourceSpans": [{"resource": {"attributes": attributes}}]})
    try:
        return from_json(ExportTraceServiceRequest, body).SerializeToString()
    except Malformed as malformed:
        return malformed.reason
