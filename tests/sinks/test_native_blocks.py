"""Native blocks as later protocol versions have them."""

from __future__ import annotations

from typing import Any

import pytest
from clickhouse_http_door import ask

from sinks.clickhouse_http import ClickHouseHttp
from sinks.native_blocks import BLOCK_INFO, UnknownType, for_protocol, parse_type

EVERY_TYPE = """
SELECT number AS n, toInt8(1), toFloat64(1.5), toString(number), toFixedString('abc', 3), toDate('2026-01-01'),
  toDateTime64('2026-01-01 00:00:00', 9, 'UTC'), toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0'), toIPv4('1.2.3.4'),
  toDecimal32(1, 2), toDecimal128(1, 2), true, NULL, if(number = 1, NULL, number), if(number = 1, NULL, 'x'),
  [1, 2], ['a', toString(number)], CAST([], 'Array(String)'), [[1], []], map('k', 'v'), map(toLowCardinality('k'), 'v'),
  tuple(1, 'x'), CAST(tuple(1, 'x'), 'Tuple(a Int8, `b c` String)'), toLowCardinality(toString(number)),
  CAST(NULL, 'LowCardinality(Nullable(String))'), CAST('a,(', 'Enum8(\\'a,(\\' = 1, \\'b\\\\\\'\\' = 2)'),
  [toLowCardinality('x')], toIntervalDay(1), CAST([(1, 'x')], 'Nested(a Int8, b String)')
FROM numbers(3)
"""


def test_every_type_is_walked_over_to_its_end(door: ClickHouseHttp) -> None:
    plain = ask(door, EVERY_TYPE, default_format="Native").body
    columns = plain[0]
    assert len(for_protocol(plain, 54_405)) == len(plain) + len(BLOCK_INFO)
    assert len(for_protocol(plain, 54_460)) == len(plain) + len(BLOCK_INFO) + columns
    assert ask(door, EVERY_TYPE, default_format="Native", client_protocol_version="54460").body == for_protocol(
        plain, 54_460
    )


def test_an_answer_without_rows_has_no_values_to_walk_over(door: ClickHouseHttp) -> None:
    plain = ask(door, "SELECT * FROM otel_traces WHERE 0", default_format="Native").body
    for_protocol(plain, 54_460)


def test_an_unknown_type_is_said_to_be_one(door: ClickHouseHttp) -> None:
    reply = ask(door, "SELECT 1::Dynamic", default_format="Native", client_protocol_version="54460")
    assert (reply.status, reply.headers["X-ClickHouse-Exception-Code"]) == (501, "48")


@pytest.mark.parametrize("data", [b"\x01", b"\x01\x01\x01a\x06String\x09", b"\x01\x05\x01a\x05Int64\x00"])
def test_data_that_ends_within_a_value_is_none(data: bytes) -> None:
    with pytest.raises(IndexError):
        for_protocol(data, 54_460)


def test_a_type_that_is_nested_too_deep_is_refused() -> None:
    data = b"\x01\x01\x01a\xd0\x02" + b"Array(" * 48 + b"x" * 48
    with pytest.raises((UnknownType, IndexError)):
        for_protocol(data, 54_460)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("String", ("String", ())),
        ("Map(LowCardinality(String), Array(Int8))", ("Map", ("LowCardinality(String)", "Array(Int8)"))),
        ("Enum8('a,(' = 1)", ("Enum8", ("'a,(' = 1",))),
    ],
)
def test_types_are_taken_apart(text: str, wanted: Any) -> None:
    assert parse_type(text) == wanted
