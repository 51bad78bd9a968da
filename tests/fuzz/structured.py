"""Requests that are proper OTLP but for what was done to them: what bytes at random never get to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st
from seeds import recorded

from collector.receivers.signals import TRACES, Signal

DEEPEST = 7
IDS = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}
HOSTILE_TEXTS = (
    "",
    "\x00",
    "a" * 3_000,
    "null",
    "[]",
    "{}",
    '{"a":' * 200 + "1" + "}" * 200,
    "[" * 2_000,
    '[{"role":"user","content":[{"type":"text","text":"x"}]}]',
    '{"messages":[{"role":7,"content":{"parts":[null]}}],"usage":"many"}',
    '[{"role":"assistant","tool_calls":[{"id":{},"function":{"name":[],"arguments":"{"}}]}]',
    "1e999",
    "NaN",
    "9" * 400,
    "\ud7ff\ue000\U0010ffff",
)
INTEGERS = st.sampled_from((0, 1, -1, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))) | st.integers(-(2**63), 2**63 - 1)

Draw = Callable[..., Any]


def texts() -> st.SearchStrategy[str]:
    """Texts, among them some that are hard to read."""
    return st.sampled_from(HOSTILE_TEXTS) | st.text(st.characters(codec="utf-8"), max_size=20)


@st.composite
def generated(draw: Draw, signal: Signal = TRACES) -> Any:
    """Make a request field by field, from what protobuf knows of it."""
    request = signal.request()
    _fill(draw, request, DEEPEST)
    return request


def _fill(draw: Draw, message: Any, depth: int) -> None:
    for field in message.DESCRIPTOR.fields:
        if field.message_type is not None and depth == 0:
            continue
        times = draw(st.integers(0, 3)) if field.is_repeated else draw(st.integers(0, 1))
        for _ in range(times):
            _set(draw, message, field, depth)


def _set(draw: Draw, message: Any, field: FieldDescriptor, depth: int) -> None:
    if field.message_type is None:
        value = draw(_scalar(field))
        if field.is_repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)
    elif field.is_repeated:
        _fill(draw, getattr(message, field.name).add(), depth - 1)
    else:
        getattr(message, field.name).SetInParent()
        _fill(draw, getattr(message, field.name), depth - 1)


def _scalar(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.type == FieldDescriptor.TYPE_BYTES:
        length = IDS.get(field.name, 3)
        return st.sampled_from([bytes([number] * length) for number in range(4)]) | st.binary(max_size=20)
    if field.type == FieldDescriptor.TYPE_STRING:
        return texts()
    if field.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return st.floats(width=32)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if field.cpp_type == FieldDescriptor.CPPTYPE_INT64:
        return INTEGERS
    if field.cpp_type == FieldDescriptor.CPPTYPE_UINT64:
        return INTEGERS.map(lambda number: number % 2**64)
    if field.cpp_type == FieldDescriptor.CPPTYPE_UINT32:
        return INTEGERS.map(lambda number: number % 2**32)
    return INTEGERS.map(lambda number: number % 2**31)


@st.composite
def altered(draw: Draw, signal: Signal = TRACES) -> Any:
    """Take what an agent sent, and do a few things to it."""
    bodies = recorded(signal)
    request = signal.request.FromString(draw(st.sampled_from(bodies)))
    other = signal.request.FromString(draw(st.sampled_from(bodies)))
    for _ in range(draw(st.integers(1, 6))):
        draw(st.sampled_from(DEEDS))(draw, request, other)
    return request


def _messages(message: Message, kind: str) -> list[Any]:
    """Find all messages of a kind within another."""
    found: list[Any] = [message] if message.DESCRIPTOR.name == kind else []
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in value if field.is_repeated else [value]:
                found += _messages(one, kind)
    return found


def _any_of(draw: Draw, request: Any, kind: str) -> Any:
    found = _messages(request, kind)
    return found[draw(st.integers(0, len(found) - 1))] if found else None


def _retype(draw: Draw, request: Any, _other: Any) -> None:
    """Give an attribute another value, of any type."""
    pair = _any_of(draw, request, "KeyValue")
    if pair is not None:
        pair.value.Clear()
        _fill(draw, pair.value, 3)


def _swap(draw: Draw, request: Any, other: Any) -> None:
    """Give an attribute the value of another."""
    one, two = _any_of(draw, request, "KeyValue"), _any_of(draw, other, "KeyValue")
    if one is not None and two is not None:
        one.value.CopyFrom(two.value)


def _retext(draw: Draw, request: Any, _other: Any) -> None:
    """Give an attribute a text that is hard to read."""
    pair = _any_of(draw, request, "KeyValue")
    if pair is not None:
        pair.value.string_value = draw(texts())


def _borrow(draw: Draw, request: Any, other: Any) -> None:
    """Give a span another dialect's attributes as well."""
    one, two = _any_of(draw, request, "Span"), _any_of(draw, other, "Span")
    if one is not None and two is not None:
        one.attributes.extend(two.attributes)
        one.events.extend(two.events)


def _reparent(draw: Draw, request: Any, _other: Any) -> None:
    """Make a span the child of any span, itself among them."""
    one, two = _any_of(draw, request, "Span"), _any_of(draw, request, "Span")
    if one is not None and two is not None:
        one.parent_span_id = draw(st.sampled_from((two.span_id, one.span_id, b"", bytes(8), b"short")))


def _retime(draw: Draw, request: Any, _other: Any) -> None:
    """Move a span in time."""
    span = _any_of(draw, request, "Span")
    if span is not None:
        span.start_time_unix_nano = draw(INTEGERS) % 2**64
        span.end_time_unix_nano = draw(INTEGERS) % 2**64


def _double(draw: Draw, request: Any, _other: Any) -> None:
    """Send a span twice, with one thing changed."""
    for scope in _messages(request, "ScopeSpans")[:1]:
        if scope.spans:
            scope.spans.add().CopyFrom(scope.spans[0])
            scope.spans[-1].name = draw(texts())


def _link(draw: Draw, request: Any, _other: Any) -> None:
    """Link a span to any trace."""
    span = _any_of(draw, request, "Span")
    if span is not None:
        span.links.add(trace_id=draw(st.binary(max_size=20)), span_id=draw(st.binary(max_size=10)))


DEEDS = (_retype, _swap, _retext, _borrow, _reparent, _retime, _double, _link)


@st.composite
def mutated(draw: Draw, bodies: st.SearchStrategy[bytes]) -> bytes:
    """Damage bytes in a few places: flip, cut, repeat, insert, exchange."""
    body = bytearray(draw(bodies))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, max(0, len(body) - 1)))
        upto = at + draw(st.integers(1, 16))
        match draw(st.integers(0, 4)):
            case 0:
                body[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case 1:
                del body[at:upto]
            case 2:
                body[at:at] = body[at:upto] * draw(st.integers(1, 8))
            case 3:
                body[at:at] = draw(st.binary(max_size=12))
            case _:
                body[at:upto] = b"\xff" * (upto - at)
    return bytes(body)
