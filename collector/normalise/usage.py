"""Token counts of one span. Whether they count is decided later: only on the deepest span of a path that has them."""

from __future__ import annotations

from typing import Any

from collector.normalise.dialects.dialect import Dialect
from schemas.step import Usage

LARGEST = 2**62


def usage_of(found: dict[str, Any], dialect: Dialect, own: dict[str, Any]) -> Usage | None:
    """Read token counts; None where the span has none. `input` comes out including what was cached."""
    told = {**found, **own} if own else found
    given, output = _count(told.get("input_tokens")), _count(told.get("output_tokens"))
    if given is None and output is None:
        return None
    read, written = _count(told.get("cache_read")) or 0, _count(told.get("cache_write")) or 0
    if dialect.input_excludes_cache:
        given = (given or 0) + read + written
    return Usage(given or 0, output or 0, read, written, _count(told.get("reasoning")) or 0)


COUNTS = frozenset({"input_tokens", "output_tokens", "cache_read", "cache_write", "reasoning"})


def _count(value: Any) -> int | None:
    if value is None:
        return None
    if type(value) is int:
        return max(0, min(value, LARGEST))
    if isinstance(value, bool):
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
