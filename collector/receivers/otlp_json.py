"""OTLP/JSON to protobuf, as lenient as the Collector: names in either case, numbers as texts, enums by name or number.

Ids are hex, not base64, as the specification has it; unknown fields are ignored. Nesting is bounded twice: orjson
parses no deeper than 1,024, and what is known may be nested no deeper than protobuf's own parsers go.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import orjson
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from collector.receivers.intake import Malformed

DEEPEST = 96
"""Messages within messages; upb, which reads the result, stops at 100."""
ID_BYTES = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}
INTEGER_BITS = {
    FieldDescriptor.CPPTYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, (1 << 32) - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, (1 << 64) - 1),
}
FLOATS = frozenset({FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT})
ENUM_RANGE = INTEGER_BITS[FieldDescriptor.CPPTYPE_INT32]
LONGEST_NUMBER = 64
ATTRIBUTES, ATTRIBUTE_DEPTH = "opentelemetry.proto.common.v1.KeyValue", 2
URL_SAFE = str.maketrans("-_", "+/")

LARGE_BYTES, BYTES_A_PART = 2 * 1024 * 1024, 4
"""A large body with more brackets than one per so many bytes is no telemetry: even `{"key":"a"}` takes eleven."""

Reader = Callable[[Any], Any]


class Known(NamedTuple):
    """A field as JSON is read into it; `read` is None for messages. `attributes`: it is a list of keys and values."""

    name: str
    repeated: bool
    read: Reader | None
    attributes: bool = False


class Wrong(Exception):  # noqa: N818  # it becomes Malformed once the path is known
    """A value cannot be read; `path` grows from the inside out."""

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(reason)
        self.reason, self.path = reason, path

    def within(self, name: str) -> Wrong:
        """Say which field, or which item of a list, it is in."""
        joined = name + self.path if self.path.startswith("[") or not self.path else f"{name}.{self.path}"
        return Wrong(self.reason, joined)


def from_json(kind: type[Message], body: bytes) -> Message:
    """Read a request; raises Malformed, saying where it is wrong."""
    if len(body) >= LARGE_BYTES and body.count(b"{") + body.count(b"[") > len(body) // BYTES_A_PART:
        raise Malformed(f"{len(body)} bytes of parts of next to no content are no telemetry")
    try:
        value = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise Malformed(f"the body is not JSON: {error}") from error
    message = kind()
    try:
        _fill(message, value, DEEPEST)
    except Wrong as wrong:
        raise Malformed(f"{wrong.path or 'the body'}: {wrong.reason}", at=wrong.path) from wrong
    return message


def _fill(message: Any, value: Any, depth: int) -> None:
    if not isinstance(value, dict):
        raise Wrong("must be an object")
    if depth == 0:
        raise Wrong(f"nested more than {DEEPEST} deep")
    known = _known(message.DESCRIPTOR)
    for key, item in value.items():
        found = known.get(key)
        if found is None or item is None:
            continue
        try:
            _set(message, found, item, depth)
        except Wrong as wrong:
            raise wrong.within(key) from None


def _set(message: Any, field: Known, item: Any, depth: int) -> None:
    if field.repeated:
        _extend(getattr(message, field.name), field, item, depth)
    elif field.read is None:
        target = getattr(message, field.name)
        target.SetInParent()
        _fill(target, item, depth - 1)
    else:
        _set_scalar(message, field.name, field.read, item)


def _set_scalar(message: Any, name: str, read: Reader, item: Any) -> None:
    """Set a field; an attribute's number that is no 64-bit integer, as JavaScript's SDK writes 1e300, is a double."""
    try:
        setattr(message, name, _read(read, item))
    except Wrong:
        if name != "int_value" or not isinstance(item, int | float):
            raise
        message.double_value = float(item)


def _extend(target: Any, field: Known, items: Any, depth: int) -> None:
    if not isinstance(items, list):
        raise Wrong("must be a list")
    read, add = field.read, target.add if field.attributes and depth > ATTRIBUTE_DEPTH else None
    for number, item in enumerate(items):
        if add is not None and _added(add, item):
            continue
        try:
            if read is None:
                _fill(target.add(), item, depth - 1)
            else:
                target.append(_read(read, item))
        except Wrong as wrong:
            raise wrong.within(f"[{number}]") from None


def _added(add: Callable[[], Any], item: Any) -> bool:
    """Read an attribute the short way where it is a text and written as nearly all are; False leaves it to `_fill`."""
    if not isinstance(item, dict) or len(item) != 2:
        return False
    key, value = item.get("key"), item.get("value")
    if not isinstance(key, str) or not isinstance(value, dict) or len(value) != 1:
        return False
    text = value.get("stringValue")
    if not isinstance(text, str):
        return False
    attribute = add()
    attribute.key = key
    attribute.value.string_value = text
    return True


def _read(read: Reader, item: Any) -> Any:
    try:
        return read(item)
    except (ValueError, TypeError, AttributeError, OverflowError, binascii.Error) as error:
        raise Wrong(str(error)) from error


# --- how fields are read, worked out once for each kind of message ---


@cache
def _known(descriptor: Descriptor) -> dict[str, Known]:
    names: dict[str, Known] = {}
    for field in descriptor.fields:
        kind = field.message_type
        attributes = kind is not None and kind.full_name == ATTRIBUTES and field.is_repeated
        read = None if kind is not None else _reader(field)
        names[field.name] = names[field.json_name] = Known(field.name, field.is_repeated, read, attributes)
    return names


def _reader(field: FieldDescriptor) -> Reader:
    if field.type == FieldDescriptor.TYPE_BYTES:
        length = ID_BYTES.get(field.name)
        return _base64 if length is None else _id_of(length)
    if field.enum_type is not None:
        return _enum_of(field.enum_type)
    if field.cpp_type in FLOATS:
        return _float
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return _boolean
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return _text
    return _integer_in(*INTEGER_BITS[field.cpp_type])


def _id_of(length: int) -> Reader:
    def read(item: Any) -> bytes:
        if item and len(item) != 2 * length:
            raise ValueError(f"{len(item)} characters where {2 * length} hex digits belong")
        return bytes.fromhex(item)

    return read


def _base64(item: Any) -> bytes:
    """Read base64 of either alphabet, padded or not."""
    text = item.translate(URL_SAFE).rstrip("=")
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _enum_of(kind: EnumDescriptor) -> Reader:
    numbers = {value.name: value.number for value in kind.values}
    number = _integer_in(*ENUM_RANGE)

    def read(item: Any) -> Any:
        return numbers[item] if isinstance(item, str) and item in numbers else number(item)

    return read


def _integer_in(least: int, most: int) -> Reader:
    def read(item: Any) -> int:
        if isinstance(item, float) and not item.is_integer():
            raise ValueError("not an integer")
        number = int(_short(item))
        if not least <= number <= most:
            raise ValueError(f"not between {least} and {most}")
        return number

    return read


def _float(item: Any) -> float:
    return float(_short(item))


def _short(item: Any) -> Any:
    if isinstance(item, str) and len(item) > LONGEST_NUMBER:
        raise ValueError(f"a number of {len(item)} characters")
    return item


def _boolean(item: Any) -> bool:
    if isinstance(item, str):
        return item.lower() == "true"
    return bool(item)


def _text(item: Any) -> str:
    if not isinstance(item, str):
        raise TypeError(f"must be a text, is {type(item).__name__}")
    return item
