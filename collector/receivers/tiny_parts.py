"""Requests made of tiny parts, which take a parser many times their size in memory: known before they are parsed."""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf.message import Message

from collector.protobuf_wire import LENGTH, fields

MOST_EXPANSION = 16
"""Proper telemetry takes less memory per byte; two bytes of an empty span take 85 times as much."""
MESSAGE_BYTES, FIELD_BYTES = 24, 8
"""About what a parsed message takes by itself, and for each field that it can have."""
SPARE_BYTES = 65_536
DEEPEST = 100
"""Where the parser stops as well."""


def made_of_tiny_parts(kind: type[Message], body: bytes) -> bool:
    """Tell whether parsing a body would take many times its size in memory.

    Takes time for each field, about 0.2 µs; raises WireError.
    """
    left = len(body) * MOST_EXPANSION + SPARE_BYTES
    walking = [(fields(body, 0, len(body)), _messages(kind.DESCRIPTOR))]
    while walking:
        walk, nested = walking[-1]
        for tag, _, value, end in walk:
            found = nested.get(tag)
            if found is None:
                continue
            inner, takes = found
            left -= takes
            if left < 0:
                return True
            if value < end and len(walking) < DEEPEST:
                walking.append((fields(body, value, end), _messages(inner)))
                break
        else:
            walking.pop()
    return False


@cache
def _messages(kind: Any) -> dict[int, tuple[Any, int]]:
    """Give, by tag, the fields that are messages, and what each takes once parsed."""
    inner = {field.number << 3 | LENGTH: field.message_type for field in kind.fields if field.message_type is not None}
    return {tag: (message, MESSAGE_BYTES + FIELD_BYTES * len(message.fields)) for tag, message in inner.items()}
