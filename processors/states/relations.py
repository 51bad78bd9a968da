"""Relations between the fields of a state that held as long as it was watched: sums, counts, order of bounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from processors.states.paths import is_identity, rows_of, words_of

RELATIONS_CAP = 24
FIELDS_CAP = 6
ORDERED = (("start", "end"), ("min", "max"), ("from", "to"), ("begin", "end"), ("low", "high"), ("lower", "upper"))
COUNTS = frozenset({"count", "number", "num", "size", "length", "len", "total", "n"})
"""Words for how many there are of something."""
TOLERANCE = 0.01


def relations(flat: Mapping[str, Any]) -> set[str]:
    """List the relations that hold in a state, as texts that `holds` understands."""
    found: list[str] = []
    lists = {path: value for path, value in flat.items() if isinstance(value, list)}
    numbers = [path for path, value in flat.items() if _is_number(value) and not is_identity(path)]
    for path in numbers:
        for of, items in lists.items():
            found += [name for name in _candidates(path, of, items) if holds(name, flat)]
    found += [f"{low}|<=|{high}" for low, high in _bounds(flat) if holds(f"{low}|<=|{high}", flat)]
    return set(sorted(found)[:RELATIONS_CAP])


def _candidates(path: str, of: str, items: list[Any]) -> Iterator[str]:
    if len(items) >= 2 and COUNTS & set(words_of(path)):
        yield f"{path}|len|{of}"
    rows = rows_of(items)
    if len(rows) < 2:
        return
    fields = [key for key, value in rows[0].items() if _is_number(value)][:FIELDS_CAP]
    for number, one in enumerate(fields):
        yield f"{path}|sum|{of}|{one}"
        for other in fields[number + 1 :]:
            yield f"{path}|sum|{of}|{one}|{other}"


def _bounds(flat: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for path, value in flat.items():
        for low, high in _bounding(path):
            partner = path.replace(low, high)
            if partner != path and type(flat.get(partner)) is type(value) and isinstance(value, int | float | str):
                yield path, partner


@lru_cache(maxsize=4_096)
def _bounding(path: str) -> tuple[tuple[str, str], ...]:
    """Name the pairs of bounds of which a path is the lower one, by its words."""
    words = words_of(path)
    return tuple(pair for pair in ORDERED if pair[0] in words)


def disordered(flat: Mapping[str, Any]) -> list[tuple[str, str]]:
    """List the pairs of bounds that stand the wrong way round: a start after its end."""
    return [(low, high) for low, high in _bounds(flat) if holds(f"{low}|<=|{high}", flat) is False]


def holds(relation: str, flat: Mapping[str, Any]) -> bool | None:
    """Say whether a relation holds in a state; None where its fields are not there to tell."""
    path, kind, of, *fields = relation.split("|")
    value, other = flat.get(path), flat.get(of)
    if kind == "<=":
        return None if value is None or other is None or type(value) is not type(other) else bool(value <= other)
    if not _is_number(value) or not isinstance(other, list):
        return None
    if kind == "len":
        return value == len(other)
    total = _total(other, fields)
    return None if total is None else abs(total - float(value or 0)) <= TOLERANCE * max(1.0, abs(total))


def _total(items: list[Any], fields: list[str]) -> float | None:
    total = 0.0
    for row in items:
        parts = [row.get(field) for field in fields] if isinstance(row, dict) else []
        if len(parts) != len(fields) or not all(_is_number(part) for part in parts):
            return None
        product = 1.0
        for part in parts:
            product *= part  # type: ignore[operator]  # all are numbers
        total += product
    return total


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
