"""OTLP/JSON to protobuf, as lenient as the Collector: names in either case, numbers as texts, enums by name or number.

Ids are hex, not base64, as the specification has it; unknown fields are ignored; nesting is bounded before parsing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from functools import cache
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from collector.receivers.intake import Malformed

DEEPEST = 128
ID_FIELDS = frozenset({"trace_id", "span_id", "parent_span_id"})
INTEGERS = frozenset(
    {
        FieldDescriptor.CPPTYPE_INT32,
        FieldDescriptor.CPPTYPE_INT64,
        FieldDescriptor.CPPTYPE_UINT32,
        FieldDescriptor.CPPTYPE_UINT64,
    }
)
FLOATS = frozenset({FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT})


def from_json(kind: type[Message], body: bytes) -> Message:
    """Read a request; raises Malformed, saying where it is wrong."""
    if _depth(body) > DEEPEST:
        raise Malformed(f"the JSON is nested more than {DEEPEST} deep")
    try:
        value = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise Malformed(f"the body is not JSON: {error}") from error
    message = kind()
    _fill(message, value, "")
    return message


def _depth(body: bytes) -> int:
    """Bound the nesting from above by a linear scan: brackets inside strings count too, which only refuses sooner."""
    depth = deepest = 0
    for byte in body.translate(None, delete=_NOT_BRACKETS):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth = max(0, depth - 1)
    if deepest <= DEEPEST:
        return deepest
    return _exact_depth(body)


def _exact_depth(body: bytes) -> int:
    depth = deepest = 0
    quoted = escaped = False
    for byte in body:
        if quoted:
            quoted, escaped = escaped or byte != 0x22, byte == 0x5C and not escaped
        elif byte == 0x22:
            quoted = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


@cache
def _fields(descriptor: Descriptor) -> dict[str, FieldDescriptor]:
    names: dict[str, FieldDescriptor] = {}
    for field in descriptor.fields:
        names[field.name] = names[field.json_name] = field
    return names


def _fill(message: Any, value: Any, path: str) -> None:
    if not isinstance(value, dict):
        raise Malformed(f"{path or 'the body'} must be an object")
    fields = _fields(message.DESCRIPTOR)
    for key, item in value.items():
        field = fields.get(key)
        if field is None or item is None:
            continue
        _set(message, field, item, f"{path}.{key}" if path else key)


def _set(message: Any, field: FieldDescriptor, item: Any, path: str) -> None:
    if field.is_repeated:
        if not isinstance(item, list):
            raise Malformed(f"{path} must be a list")
        target = getattr(message, field.name)
        for number, one in enumerate(item):
            if field.message_type is not None:
                _fill(target.add(), one, f"{path}[{number}]")
            else:
                target.append(_scalar(field, one, path))
    elif field.message_type is not None:
        target = getattr(message, field.name)
        target.SetInParent()
        _fill(target, item, path)
    else:
        setattr(message, field.name, _scalar(field, item, path))


def _scalar(field: FieldDescriptor, item: Any, path: str) -> Any:
    try:
        return _reader(field)(item)
    except (ValueError, TypeError, OverflowError, binascii.Error) as error:
        raise Malformed(f"{path} cannot be read: {error}") from error


def _reader(field: FieldDescriptor) -> Callable[[Any], Any]:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return bytes.fromhex if field.name in ID_FIELDS else _base64
    if field.enum_type is not None:
        return lambda item: _enum(field, item)
    if field.cpp_type in INTEGERS:
        return _integer
    if field.cpp_type in FLOATS:
        return float
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return _boolean
    return _text


def _base64(item: Any) -> bytes:
    return base64.b64decode(item + "=" * (-len(item) % 4), validate=False)


def _enum(field: FieldDescriptor, item: Any) -> int:
    if isinstance(item, str) and not item.lstrip("-").isdigit() and field.enum_type is not None:
        known = field.enum_type.values_by_name.get(item)
        if known is None:
            raise ValueError(f"there is no {item[:64]!r} in {field.enum_type.name}")
        return int(known.number)
    return int(item)


def _integer(item: Any) -> int:
    if isinstance(item, float) and not item.is_integer():
        raise ValueError(f"{item} is not an integer")
    return int(item)


def _boolean(item: Any) -> bool:
    if isinstance(item, str):
        return item.lower() == "true"
    return bool(item)


def _text(item: Any) -> str:
    if not isinstance(item, str):
        raise TypeError(f"expected a text, got {type(item).__name__}")
    return item
