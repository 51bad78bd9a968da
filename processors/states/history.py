"""What is learned of each path of a state over its observations; small, and enough to tell what is usual for it."""

from __future__ import annotations

from typing import Any

import msgspec

from processors.states.paths import NUMBER, TEXT, kind_of, looks_volatile
from schemas.canonical import value_hash

VALUES_CAP = 8
LABEL_CHARS = 32


class PathHistory(msgspec.Struct, array_like=True):
    """One path: how often seen, how often changed, between which bounds, which values in which order."""

    seen: int = 0
    changed: int = 0
    nulls: int = 0
    low: float = 0.0
    high: float = 0.0
    rises: int = 0
    falls: int = 0
    shrank: int = 0
    volatile_looks: int = 0
    same_for: int = 0
    digest: str = ""
    values: list[str] = []

    def is_volatile(self) -> bool:
        """Say whether changing means nothing here: it changes always, or looks like what does."""
        if self.seen >= 4 and self.changed >= self.seen - 1 and self.volatile_looks >= self.seen // 2:
            return True
        return self.seen >= 2 and self.changed >= 1 and self.volatile_looks == self.seen and self.same_for <= 1

    def rank(self, value: Any) -> int | None:
        """Say where a label came first among those this path has had; None for a new one."""
        return self.values.index(value) if isinstance(value, str) and value in self.values else None


def learn(history: PathHistory, value: Any) -> None:
    """Take in one more observation of a path."""
    digest = value_hash(value)[:8]
    first = history.seen == 0
    history.seen += 1
    history.nulls += value is None
    history.volatile_looks += looks_volatile(value)
    if first or digest == history.digest:
        history.same_for += 1
    else:
        history.changed += 1
        history.same_for = 1
    history.digest = digest
    kind = kind_of(value)
    if kind == NUMBER:
        _learn_number(history, float(value), first)
    elif (
        kind == TEXT and len(value) <= LABEL_CHARS and value not in history.values and len(history.values) < VALUES_CAP
    ):
        history.values = [*history.values, value]
    elif isinstance(value, list):
        _learn_number(history, float(len(value)), first)


def _learn_number(history: PathHistory, number: float, first: bool) -> None:
    if first:
        history.low = history.high = number
        return
    history.rises += number > history.high
    history.falls += number < history.low
    history.shrank += number < history.high
    history.low, history.high = min(history.low, number), max(history.high, number)
