"""A state as paths and values: flattened, bounded, and what a value looks like."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import orjson

PATHS_CAP = 96
DEPTH_CAP = 4
LIST_CAP = 200
NULL, BOOL, NUMBER, TEXT, LIST, MAP = "null", "bool", "number", "text", "list", "map"

RANDOM_LOOKING = re.compile(
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\Z"  # uuid
    r"|[0-9a-fA-F]{16,64}\Z"  # hex digest
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d"  # time stamp
)
SORTABLE_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?)?Z?\Z")
MIXED = re.compile(r"(?=[A-Za-z0-9_-]*[A-Za-z])(?=[A-Za-z0-9_-]*\d)[A-Za-z0-9_-]{10,64}\Z")
CLOCK_RANGES = ((1e9, 4e9), (1e12, 4e12), (1e18, 4e18))
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
NAME_CHARS = 256
"""Characters of a name or text that are cut into words."""
WORD = re.compile(r"[A-Za-z]+|\d+")
IDENTITY_WORDS = frozenset({"id", "uuid", "guid", "key", "number", "no", "ref", "sku"})
TRANSIENT_WORDS = frozenset({"request", "trace", "span", "correlation", "nonce", "event", "message", "call", "attempt"})
"""Words for what names one call rather than the thing the state is about."""
CONVERSATION_KEYS = frozenset({"role", "content", "type", "data", "parts", "lc"})


def kind_of(value: Any) -> str:
    """Name the JSON type of a value."""
    if value is None:
        return NULL
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int | float):
        return NUMBER
    if isinstance(value, str):
        return TEXT
    return LIST if isinstance(value, list) else MAP


@lru_cache(maxsize=32)
def read_state(text: str) -> Mapping[str, Any]:
    """Read a state's values by path; empty where it is no map. Remembered: each state is read again with the next."""
    state = orjson.loads(text)
    return flatten(state) if isinstance(state, dict) else {}


def flatten(state: dict[str, Any]) -> dict[str, Any]:
    """Give the values of a state by path (`a.b`); lists stay whole, maps are entered; at most `PATHS_CAP` paths."""
    found: dict[str, Any] = {}
    for path, value in _walk(state, "", 0):
        if len(found) >= PATHS_CAP:
            break
        found[path] = value
    return found


def _walk(value: dict[str, Any], above: str, depth: int) -> Iterator[tuple[str, Any]]:
    for key in sorted(value, key=str):
        path = f"{above}.{key}" if above else str(key)
        inner = value[key]
        if isinstance(inner, dict) and inner and depth < DEPTH_CAP:
            yield from _walk(inner, path, depth + 1)
        else:
            yield path, inner


def looks_volatile(value: Any) -> bool:
    """Say whether a value looks drawn at random or read off a clock."""
    if isinstance(value, str):
        return bool(RANDOM_LOOKING.match(value) or MIXED.match(value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return any(low <= value <= high for low, high in CLOCK_RANGES)
    return False


def is_time(text: str) -> bool:
    """Say whether a text is a time that sorts as text does."""
    return bool(SORTABLE_TIME.match(text))


def words_of(text: str) -> list[str]:
    """Cut a name into lower-case words: `orderId`, `order_id` and `order-id` give the same."""
    return list(_words(text[:NAME_CHARS]))


def cut(text: str) -> list[str]:
    """Cut a text as `words_of` does, without remembering it: one that hardly comes twice."""
    lower = text.lower()
    if lower == text:
        return WORD.findall(text)
    if text.isascii():
        return WORD.findall(_CAMEL.sub(" ", text).lower())
    return [word.lower() for word in WORD.findall(_CAMEL.sub(" ", text))]


@lru_cache(maxsize=4_096)
def _words(name: str) -> tuple[str, ...]:
    """Cut a name; remembered, as a state's fields have the same names every time."""
    return tuple(cut(name))


@lru_cache(maxsize=4_096)
def is_identity(path: str) -> bool:
    """Say whether a path names what something is, by its last word."""
    words = words_of(path.rsplit(".", 1)[-1])
    return bool(words) and words[-1] in IDENTITY_WORDS and not TRANSIENT_WORDS & set(words)


def is_conversation(value: Any) -> bool:
    """Say whether a list is a history of messages, which is trimmed on purpose."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, dict | list) for item in value[:8])
        and any(isinstance(item, dict) and len(CONVERSATION_KEYS & item.keys()) >= 2 for item in value[:8])
    )


def rows_of(value: Any) -> list[dict[str, Any]]:
    """Give a list's items where all of them are maps; else nothing."""
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value[:LIST_CAP]):
        return value[:LIST_CAP]
    return []
