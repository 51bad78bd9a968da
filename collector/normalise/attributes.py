"""OTLP values as plain Python, and a span or log record as its parts; sizes and depth are bounded."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

DEEPEST = 24
LONGEST = 1_048_576
"""Characters read of one text."""

Attributes = dict[str, Any]


def plain(value: Any, depth: int = 0) -> Any:
    """Read an AnyValue, recursively."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return value.string_value if len(value.string_value) <= LONGEST else value.string_value[:LONGEST]
    if kind is None or depth > DEEPEST:
        return None
    if kind == "array_value":
        return [plain(item, depth + 1) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {item.key: plain(item.value, depth + 1) for item in value.kvlist_value.values}
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    return getattr(value, kind)


def attributes(pairs: Any) -> Attributes:
    """Read attributes, a repeated field of key and value; where a key comes twice the last one counts."""
    found: Attributes = {}
    for pair in pairs[:]:  # a slice is gone through in two thirds of the time
        value = pair.value
        # Most values are texts or numbers that are not empty; asking for those first spares a look at the kind.
        text = value.string_value
        found[pair.key] = text[:LONGEST] if text else (value.int_value or plain(value))
    return found


class Origin:
    """Where spans come from: their resource, the scope of the instrument, and the service's name."""

    __slots__ = ("resource", "scope", "service")

    def __init__(self, resource: Attributes, scope: str) -> None:
        self.resource = resource
        self.scope = scope
        self.service = str(resource.get("service.name", ""))


class Event:
    """A span event or a log record that belongs to a span: its name, attributes and body."""

    __slots__ = ("attributes", "body", "name")

    def __init__(self, name: str, attributes: Attributes, body: Any = None) -> None:
        self.name = name
        self.attributes = attributes
        self.body = body

    def content(self, *keys: str) -> Any:
        """Give the first of these that it carries, in its attributes or in its body."""
        for key in keys:
            value = self.attributes.get(key)
            if value is None and isinstance(self.body, dict):
                value = self.body.get(key)
            if value is not None:
                return value
        return None


class SpanView:
    """A span taken apart, as dialects read it; its ids are in hex, that of its parent empty where it has none."""

    __slots__ = ("attributes", "events", "name", "origin", "parent", "scope", "span", "span_id", "trace_id")

    def __init__(self, span: Any, origin: Origin) -> None:
        self.span = span
        self.origin = origin
        self.scope = origin.scope
        self.name: str = span.name
        self.trace_id: str = span.trace_id.hex()
        self.span_id: str = span.span_id.hex()
        parent: bytes = span.parent_span_id
        self.parent = parent.hex() if parent.strip(b"\0") else ""
        self.attributes = attributes(span.attributes)
        events = span.events
        self.events = [Event(event.name, attributes(event.attributes)) for event in events] if events else []

    def first(self, sources: Iterable[str]) -> Any:
        """Give the first attribute that is there and not empty."""
        get = self.attributes.get
        for source in sources:
            value = get(source)
            if value or value == 0:
                return value
        return None

    def event(self, *names: str) -> Event | None:
        """Give the last event of one of these names."""
        for event in reversed(self.events):
            if event.name in names:
                return event
        return None
