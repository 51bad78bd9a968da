"""Rows on their way into a table, kept as columns and by day: what an insert wants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

DAY_NS = 86_400_000_000_000


class Columns:
    """Rows of one table, grouped by the day of their partition."""

    def __init__(self, table: str, names: tuple[str, ...]) -> None:
        self.table = table
        self.names = names
        self._days: dict[int, list[list[Any]]] = {}
        self.rows = 0

    def add(self, at_ns: int, row: tuple[Any, ...]) -> None:
        """Add a row that belongs to the day of `at_ns`."""
        columns = self._days.get(at_ns // DAY_NS)
        if columns is None:
            columns = self._days[at_ns // DAY_NS] = [[] for _ in self.names]
        for column, value in zip(columns, row, strict=True):
            column.append(value)
        self.rows += 1

    def by_day(self) -> Iterator[tuple[int, list[list[Any]]]]:
        """Give each day's columns, oldest first."""
        yield from sorted(self._days.items())
