"""Arguments of a call, taken apart: what it asks, and what differs from call to call anyway."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from processors.loops.keys import CALLING, NAMING, TRACKING, role_of
from processors.loops.masking import fold, is_drawn, is_moment

ARGUMENTS_CAP = 4_096
"""Characters; longer arguments are compared by their hash."""
DEPTH_CAP = 3
"""Levels of nested arguments whose keys are looked at one by one."""
_SURE = 2
"""Volatile arguments of one call that make a drawn one volatile whose key says nothing: alone it is what the call is
about, such as one of many records."""


class Arguments(NamedTuple):
    """What a call asks: with nothing masked but spelling, without what is volatile, and which drawn values that were.

    `sayings` are the texts of several words among the arguments. Longer arguments than the cap are not `is_whole`:
    they say nothing here.
    """

    plain: str
    kept: str
    drawn: tuple[str, ...]
    sayings: str
    is_whole: bool = True

    def masked(self, result: str) -> str:
        """Write the arguments without their volatile parts; a drawn value that the result speaks of is none.

        Arguments of which nothing else would be left are kept as they are: then the volatile part is all they say.
        """
        if not self.kept or (self.drawn and _speaks_of(result, self.drawn)):
            return self.plain
        return self.kept


@lru_cache(maxsize=512)
def read_arguments(arguments: str) -> Arguments:
    """Take arguments (canonical JSON) apart; remembered, as a model's request and the call it leads to are the same."""
    if len(arguments) > ARGUMENTS_CAP:
        return Arguments("", "", (), "", is_whole=False)
    plain = fold(arguments)
    if not arguments.startswith("{"):
        return Arguments(plain, plain, (), arguments if " " in arguments else "")
    try:
        value = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return Arguments(plain, plain, (), "")
    reading = _Reading()
    reading.read(value, "", DEPTH_CAP)
    return Arguments(plain, reading.kept(), tuple(reading.drawn), " ".join(reading.sayings))


def _speaks_of(result: str, drawn: tuple[str, ...]) -> bool:
    text = result.casefold()
    return any(value in text for value in drawn)


class _Reading:
    """Sorts arguments into what the call is about, what is volatile, and what may be either."""

    __slots__ = ("certain", "drawn", "sayings", "unsure", "volatile")

    def __init__(self) -> None:
        self.certain: list[str] = []
        self.unsure: list[str] = []
        self.drawn: list[str] = []
        self.sayings: list[str] = []
        self.volatile = 0

    def read(self, arguments: dict[str, Any], path: str, depth: int) -> None:
        for key, value in arguments.items():
            if isinstance(value, dict) and depth:
                self.read(value, f"{path}{key}.", depth - 1)
            else:
                self._sort(path, key, value)

    def kept(self) -> str:
        sure = self.volatile + len(self.unsure) >= _SURE
        return "\n".join(self.certain if sure else self.certain + self.unsure)

    def _sort(self, path: str, key: str, value: Any) -> None:
        text = value if isinstance(value, str) else _written(value)
        role = role_of(key)
        if role == CALLING and (" " not in text.strip() or is_moment(text)):
            self.volatile += 1
            return
        part = f"{path}{key}={fold(text)}"
        drawn = role != NAMING and (is_drawn(text) or (role == TRACKING and is_moment(text)))
        if not drawn:
            self.certain.append(part)
            if text is value and " " in text:
                self.sayings.append(text)
            return
        self.drawn.append(text.strip().lower())
        if role == TRACKING:
            self.volatile += 1
        else:
            self.unsure.append(part)


def _written(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return "nested too deeply to be compared"
