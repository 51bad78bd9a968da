"""What can be wrong with one field of a state from one observation to the next; each rule with how sure it is.

Rules lean on what the path has shown before; where there is little history they fall back on what is true of most
states, and are less sure. A figure beside a rule is the confidence it has alone; several combine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from processors.states.history import LABEL_CHARS, PathHistory
from processors.states.paths import (
    LIST,
    MAP,
    NULL,
    NUMBER,
    TEXT,
    is_conversation,
    is_identity,
    is_time,
    kind_of,
    looks_volatile,
    rows_of,
    words_of,
)

KNOWN = 3
"""Observations from which on a path's own history is believed."""
QUANTITY = frozenset(
    {
        "count", "total", "price", "qty", "quantity", "age", "size", "length", "number", "stock", "items", "tasks",
        "duration", "percent", "percentage", "tokens", "attempts", "retries", "steps", "pages", "weight", "distance",
        "capacity", "seats", "units", "inventory", "cost",
    }
)  # fmt: skip
"""Words for what is never negative, in general use."""
EARLY = frozenset({"new", "created", "draft", "todo", "queued", "pending", "init", "initial", "received", "submitted"})
LATE = frozenset(
    {"done", "completed", "complete", "finished", "delivered", "closed", "resolved", "archived", "shipped", "settled"}
)
"""Words that stand at the two ends of most life cycles."""
PERCENT = frozenset({"percent", "percentage", "pct"})
ONLY_UP = frozenset({"version", "revision", "sequence", "seq", "generation", "epoch", "counter", "offset"})
"""Words for what only ever grows."""
RECENT = frozenset({"last", "latest", "updated", "modified", "newest"})
"""Words for times that only move forward."""
OLDEST_AGE = 150
JUMP, WILD_JUMP = 10.0, 100.0
DECIMAL_SHIFTS = (10.0, 100.0, 1000.0)
TEXT_WORTH_KEEPING = 40
IDENTITY_FROM = 100
"""A number that never changed names something rather than counts it from here on."""
STATUS = frozenset({"status", "state", "stage", "phase", "step", "progress", "lifecycle"})
UNIQUE = frozenset({"id", "uuid", "guid"})


class Change(NamedTuple):
    """One thing that is wrong: what kind, where, from what to what, and how sure that alone is."""

    kind: str
    path: str
    before: Any
    after: Any
    confidence: float


def changes_of(path: str, before: Any, after: Any, history: PathHistory) -> Iterator[Change]:
    """List what is wrong with a path that changed; nothing for most changes."""
    for kind, confidence in _rules(path, before, after, history):
        yield Change(kind, path, before, after, confidence)


def _rules(path: str, before: Any, after: Any, history: PathHistory) -> Iterator[tuple[str, float]]:
    old, new = kind_of(before), kind_of(after)
    known = history.seen >= KNOWN
    if old != new:
        yield from _type_changed(path, old, new, history, known)
    elif new == NUMBER:
        yield from _number(path, float(before), float(after), history, known)
    elif new == LIST:
        yield from _list(before, after, history, known)
    elif new == TEXT:
        yield from _text(path, before, after, history, known)


def implausible(flat: Mapping[str, Any]) -> Iterator[Change]:
    """List the fields of a state that cannot be true whatever was before; for a state nobody has seen before."""
    for path, value in flat.items():
        words = set(words_of(path))
        if kind_of(value) != NUMBER:
            continue
        if words & PERCENT and not 0 <= value <= 100:
            yield Change("out_of_range", path, None, value, 0.6)
        elif "age" in words and not 0 <= value <= OLDEST_AGE:
            yield Change("out_of_range", path, None, value, 0.7)
        elif words & QUANTITY and value < 0:
            yield Change("negative", path, None, value, 0.6)


def lost(path: str, before: Any, history: PathHistory, observations: int) -> Change:
    """Say that a path is gone; one that came late and was hardly seen was passing by."""
    if history.seen < min(KNOWN, observations):
        return Change("lost", path, before, None, 0.35)
    solid = kind_of(before) in (LIST, MAP) or is_identity(path)
    confidence = (0.85 if solid else 0.7) if history.seen >= KNOWN else (0.7 if solid else 0.5)
    return Change("lost", path, before, None, confidence)


def _type_changed(path: str, old: str, new: str, history: PathHistory, known: bool) -> Iterator[tuple[str, float]]:
    if new == NULL:
        if history.nulls == 0:
            solid = old in (LIST, MAP) or is_identity(path)
            yield "nulled", (0.75 if solid else 0.55) if known else (0.65 if solid else 0.4)
    elif old != NULL and history.nulls == 0:
        yield "type", 0.9 if {old, new} != {NUMBER, TEXT} else 0.8


def _number(path: str, before: float, after: float, history: PathHistory, known: bool) -> Iterator[tuple[str, float]]:
    words = set(words_of(path))
    if after < 0 <= before and history.low >= 0:
        yield "negative", 0.85 if known or words & QUANTITY else 0.45
    elif after == -before and before != 0:
        yield "sign_flipped", 0.75
    if before.is_integer() is False and before and any(abs(after / before - by) < 1e-6 for by in DECIMAL_SHIFTS):
        yield "decimal_shifted", 0.6
    yield from _beyond_bounds(words, before, after)
    top = max(abs(history.high), abs(history.low), 1.0)
    if abs(after) > WILD_JUMP * top or (history.seen >= 2 * KNOWN and abs(after) > JUMP * top):
        yield "jump", 0.75 if known else 0.6
    elif after < 0 < before and -after > JUMP * before:
        yield "jump", 0.65
    elif before > 0 and 0 <= after < before / WILD_JUMP and history.seen >= 2 * KNOWN and after != 0:
        yield "jump", 0.5
    steady = history.rises >= KNOWN and history.shrank == 0
    if after < before and steady:
        yield "counter_went_back", 0.8 if after > 0 else 0.55
    if _identity_changed(path, history):
        yield "identity", 0.75 if is_identity(path) else 0.55


def _beyond_bounds(words: set[str], before: float, after: float) -> Iterator[tuple[str, float]]:
    if words & ONLY_UP and 0 < after < before:
        yield "counter_went_back", 0.6
    if words & PERCENT and not 0 <= after <= 100 and 0 <= before <= 100:
        yield "out_of_range", 0.8
    if "age" in words and after > OLDEST_AGE >= before:
        yield "out_of_range", 0.8


def _list(before: list[Any], after: list[Any], history: PathHistory, known: bool) -> Iterator[tuple[str, float]]:
    if is_conversation(before) or is_conversation(after):
        return
    grew_only = history.rises >= KNOWN and history.shrank == 0
    if not after and len(before) >= 2:
        yield "emptied", 0.8 if grew_only else 0.5
    elif len(before) >= 3 and len(after) * 2 < len(before):
        yield "truncated", 0.75 if grew_only else (0.4 if known else 0.5)
    if _duplicated(after) and not _duplicated(before):
        yield "duplicate_ids", 0.7
    yield from _item_types(before, after)


def _item_types(before: list[Any], after: list[Any]) -> Iterator[tuple[str, float]]:
    kinds = {kind_of(item) for item in before[:50]}
    odd = {kind_of(item) for item in after[:50]} - kinds
    if len(kinds) == 1 and len(before) >= 2 and odd:
        yield "item_type", 0.6


def _duplicated(items: list[Any]) -> bool:
    rows = rows_of(items)
    if len(rows) < 2:
        return False
    keys = [key for key in rows[0] if UNIQUE & set(words_of(key)[-1:])]
    for key in keys[:2]:
        values = [str(row.get(key)) for row in rows if row.get(key) is not None]
        if len(values) != len(set(values)):
            return True
    return False


def _text(path: str, before: str, after: str, history: PathHistory, known: bool) -> Iterator[tuple[str, float]]:
    if len(before) >= TEXT_WORTH_KEEPING and len(after) * 5 < len(before):
        yield "cleared" if not after.strip() else "cut", 0.6
    if RECENT & set(words_of(path)) and is_time(before) and is_time(after) and after < before:
        yield "time_went_back", 0.6
    if len(before) <= LABEL_CHARS and len(after) <= LABEL_CHARS:
        yield from _label(path, before, after, history, known)


def _label(path: str, before: str, after: str, history: PathHistory, known: bool) -> Iterator[tuple[str, float]]:
    """Judge a status: one that was left behind, with others since, does not come back."""
    was, now = history.rank(before), history.rank(after)
    straight = history.changed == len(history.values) - 1
    if was is not None and now is not None and was - now >= 2 and straight:
        yield "status_went_back", 0.75 if STATUS & set(words_of(path)) else 0.4
    elif _word(before) in LATE and _word(after) in EARLY:
        yield "status_went_back", 0.7
    if known and history.same_for >= 2 * KNOWN and looks_volatile(before) and not looks_volatile(after):
        yield "identity", 0.5


def _word(text: str) -> str:
    words = words_of(text)
    return words[0] if len(words) == 1 else ""


def _identity_changed(path: str, history: PathHistory) -> bool:
    if is_identity(path):
        return history.changed == 0 and history.same_for >= KNOWN
    return history.changed == 0 and history.same_for >= 4 * KNOWN and history.low >= IDENTITY_FROM


def identity_text_changed(path: str, before: Any, after: Any, history: PathHistory) -> Change | None:
    """Judge an identity that is a text: it stays while the rest stays."""
    if kind_of(before) != TEXT or kind_of(after) != TEXT or not is_identity(path):
        return None
    if looks_volatile(before) and looks_volatile(after) and history.same_for < KNOWN:
        return None
    if history.changed == 0 and history.same_for >= KNOWN:
        return Change("identity", path, before, after, 0.8)
    return Change("identity", path, before, after, 0.5) if history.seen == 1 else None
