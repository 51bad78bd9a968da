"""OTLP attributes as the store keeps them: every value a text, as the Collector's exporter writes it."""

from __future__ import annotations

import base64
from typing import Any

import orjson

DEEPEST = 32
"""Levels kept of nested lists and maps."""
PLAIN_BELOW = 1e15
"""Whole numbers below this are written without a fraction, as the Collector does; all of them are exact."""


def as_map(attributes: Any) -> dict[str, str]:
    """Write attributes, a repeated field, as a map of texts; of several with one key the last one counts."""
    pairs = attributes[:]  # a slice is gone through in two thirds of the time
    return {pair.key: (value := pair.value).string_value or as_text(value) for pair in pairs}


def as_text(value: Any) -> str:
    """Write one value as text; lists and maps as JSON."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return str(value.string_value)
    if kind is None:
        return ""
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    if kind == "int_value":
        return str(value.int_value)
    if kind == "double_value":
        return _number(value.double_value)
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    return orjson.dumps(_plain(value, 0)).decode()


def service_of(resource: dict[str, str]) -> str:
    """Say which service a resource is."""
    return resource.get("service.name", "")


def _number(value: float) -> str:
    return str(int(value)) if abs(value) < PLAIN_BELOW and value == int(value) else str(value)


def _plain(value: Any, depth: int) -> Any:
    kind = value.WhichOneof("value")
    if kind is None or depth > DEEPEST:
        return None
    if kind == "array_value":
        return [_plain(item, depth + 1) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {item.key: _plain(item.value, depth + 1) for item in value.kvlist_value.values}
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    return getattr(value, kind)
