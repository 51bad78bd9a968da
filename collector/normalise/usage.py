"""Token counts of one span. Whether they count is decided later: only on the deepest span of a path that has them."""

from __future__ import annotations

from typing import Any

from collector.normalise.dialects.dialect import Dialect
from schemas.step import Usage

LARGEST = 2**62


def usage_of(found: dict[str, Any], dialect: Dialect, own: dict[str, Any]) -> Usage | None:
    """Read token counts; None where the span has none. `input` comes out including what was cached."""
    if COUNTS.isdisjoint(found) and COUNTS.isdisjoint(own):
        return None
    counts = {name: _count(own.get(name, found.get(name))) for name in COUNTS}
    if counts["input_tokens"] is None and counts["output_tokens"] is None:
        return None
    read, written = counts["cache_read"] or 0, counts["cache_write"] or 0
    given = counts["input_tokens"] or 0
    if dialect.input_excludes_cache:
        given += read + written
    return Usage(given, counts["output_tokens"] or 0, read, written, counts["reasoning"] or 0)


COUNTS = frozenset({"input_tokens", "output_tokens", "cache_read", "cache_write", "reasoning"})


def _count(value: Any) -> int | None:
    if type(value) is int:
        return max(0, min(value, LARGEST))
    if isinstance(value, bool) or value is None:
        return None
    try:
        return max(0, min(int(value), LARGEST))
    except (ValueError, TypeError, OverflowError):
        return None


def amount(value: Any) -> float | None:
    """Read an amount of money; zero is what instruments say that have no price list."""
    if value is None:
        return None
    try:
        read = float(value)
    except (ValueError, TypeError):
        return None
    return read if 0 < read < 1e9 else None
