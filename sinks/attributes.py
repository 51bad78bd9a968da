"""OTLP attributes as the store keeps them: every value a text, as the Collector's exporter writes it."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import orjson

DEEPEST = 32


def as_map(attributes: Iterable[Any]) -> dict[str, str]:
    """Write attributes as a map of texts."""
    return {attribute.key: as_text(attribute.value) for attribute in attributes}


def as_text(value: Any) -> str:
    """Write one value as text; lists and maps as JSON."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return str(value.string_value)
    if kind is None:
        return ""
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    if kind in ("int_value", "double_value"):
        return str(getattr(value, kind))
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    return orjson.dumps(_plain(value, 0)).decode()


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


def service_of(resource: dict[str, str]) -> str:
    """Say which service a resource is."""
    return resource.get("service.name", "")
