"""Flattened messages: `PREFIX.N.message.role` (OpenInference), `PREFIX.N.role` (OpenLLMetry), placed by their names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from collector.normalise.attributes import Attributes
from collector.normalise.unwrap import text_of

MESSAGES_CAP = 2_000
FIRST_FIELDS = ("message.role", "role", "message.content", "content")
"""What the first flattened message has at least one of."""
PLAIN_FIELDS = ("role", "content", "tool_call_id", "finish_reason", "name")
NUMBER_DIGITS = 9


class FlatMessage:
    """Where one flattened message stands: attribute names of its fields, of its contents and of each call's parts."""

    __slots__ = ("_calls", "_contents", "_fields")

    def __init__(self, places: dict[str, str]) -> None:
        self._fields = tuple((field, places[field]) for field in PLAIN_FIELDS if field in places)
        parts = sorted(field for field in places if field.startswith(("contents.", "content.")) and _says(field))
        self._contents = tuple(places[part] for part in parts)
        self._calls = tuple(tuple(parts.items()) for parts in _calls(places).values())

    def read(self, attributes: Attributes) -> dict[str, Any]:
        """Read it as the mapping that other instruments send."""
        read: dict[str, Any] = dict.fromkeys(PLAIN_FIELDS)
        for field, name in self._fields:
            read[field] = attributes[name]
        if self._contents and not read["content"]:
            read["content"] = "\n".join([text_of(attributes[name]) for name in self._contents])
        return read

    def calls(self, attributes: Attributes) -> Iterable[dict[str, Any]]:
        """Read the calls it asks for."""
        return ({part: attributes[name] for part, name in call} for call in self._calls)


def flat_messages(names: Sequence[str], prefix: str) -> tuple[FlatMessage, ...]:
    """Place flattened messages among attribute names, in their order."""
    known = frozenset(names)
    if not any(f"{prefix}.{number}.{field}" in known for number in (0, 1) for field in FIRST_FIELDS):
        return ()
    found: dict[int, dict[str, str]] = {}
    for name in names:
        if name.startswith(prefix) and name[len(prefix) : len(prefix) + 1] == ".":
            number, _, rest = name[len(prefix) + 1 :].partition(".")
            if _is_number(number) and len(found) < MESSAGES_CAP:
                found.setdefault(int(number), {})[rest.removeprefix("message.")] = name
    return tuple(FlatMessage(found[number]) for number in sorted(found))


def _is_number(text: str) -> bool:
    """Say whether `int` reads it: not every digit of Unicode is one, and not any length."""
    return text.isdecimal() and len(text) <= NUMBER_DIGITS


def _says(field: str) -> bool:
    return field.endswith((".text", ".content")) or field.rsplit(".", 1)[-1].isdigit()


def _calls(places: dict[str, str]) -> dict[int, dict[str, str]]:
    calls: dict[int, dict[str, str]] = {}
    for field, name in places.items():
        if field.startswith("tool_calls."):
            number, _, rest = field.removeprefix("tool_calls.").partition(".")
            part = rest.removeprefix("tool_call.").removeprefix("function.")
            if _is_number(number) and part in ("id", "name", "arguments"):
                calls.setdefault(int(number), {})[part] = name
    return calls
