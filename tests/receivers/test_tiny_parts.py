"""Requests of nothing but tiny parts are known; what real SDKs send never is one."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from collector.protobuf_wire import WireError, field
from collector.receivers.signals import LOGS, METRICS, TRACES
from collector.receivers.tiny_parts import made_of_tiny_parts

RECORDED = sorted((Path(__file__).parents[1] / "captures" / "recorded").glob("*/*.binpb"))
SIGNALS = {signal.name: signal for signal in (TRACES, LOGS, METRICS)}
MANY = 200_000


def in_span(content: bytes) -> bytes:
    return field(1, field(2, field(2, content)))


BOMBS = {
    "empty resources": b"\x0a\x00" * MANY,
    "empty scopes": field(1, b"\x12\x00" * MANY),
    "empty spans": field(1, field(2, b"\x12\x00" * MANY)),
    "spans of one number": field(1, field(2, b"\x12\x02\x30\x01" * MANY)),
    "empty attributes": in_span(b"\x4a\x00" * MANY),
    "empty events": in_span(b"\x5a\x00" * MANY),
    "empty links": in_span(b"\x6a\x00" * MANY),
    "attributes with empty values": in_span(b"\x4a\x02\x12\x00" * MANY),
    "an array of empty values": in_span(field(9, field(2, field(5, b"\x0a\x00" * MANY)))),
}


@pytest.mark.parametrize("what", BOMBS)
def test_what_is_made_of_tiny_parts_is_known(what: str) -> None:
    assert made_of_tiny_parts(TRACES.request, BOMBS[what])


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_what_real_sdks_send_is_not(file: Path) -> None:
    (signal,) = (signal for name, signal in SIGNALS.items() if name in file.name)
    assert not made_of_tiny_parts(signal.request, file.read_bytes() * 20)


def test_spans_of_short_attributes_and_nothing_else_are_not() -> None:
    attribute = field(1, b"a.flag") + field(2, b"\x10\x01")
    span = field(1, bytes(16)) + field(2, bytes(8)) + field(9, attribute) * 20
    assert not made_of_tiny_parts(TRACES.request, field(1, field(2, field(2, span) * 2_000)))


@given(st.binary(max_size=300))
def test_any_bytes_are_judged_or_refused_as_the_parser_refuses_them(body: bytes) -> None:
    try:
        made_of_tiny_parts(TRACES.request, body)
    except WireError:
        with pytest.raises(DecodeError):
            TRACES.request.FromString(body)
