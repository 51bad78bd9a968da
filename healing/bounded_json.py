"""Says whether a JSON value out of a detection is small and flat enough to be carried on."""

from __future__ import annotations

from typing import Any

import msgspec

DEEPEST = 24


def fits(value: Any, max_bytes: int) -> bool:
    """Say whether a value is at most `max_bytes` in state, nests at most `DEEPEST` deep, and can be written at all.

    State is msgpack, which holds no integers beyond 64 bits; as JSON a value may take up to six times as much.
    """
    if _too_deep(value):
        return False
    try:
        return len(msgspec.msgpack.encode(value)) <= max_bytes
    except (ValueError, TypeError, OverflowError):
        return False


def _too_deep(value: Any) -> bool:
    """Walk level by level, so that a hostile depth costs no stack."""
    level = [value]
    for _ in range(DEEPEST):
        level = [child for item in level if isinstance(item, (dict, list)) for child in _children(item)]
        if not level:
            return False
    return True


def _children(item: dict[str, Any] | list[Any]) -> list[Any]:
    return list(item.values()) if isinstance(item, dict) else item
