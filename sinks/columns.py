"""Rows on their way into a table, by the day of their partition, handed over as the columns an insert wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

DAY_NS = 86_400_000_000_000

Row = tuple[Any, ...]


def transposed(rows: Sequence[Row]) -> list[Sequence[Any]]:
    """Make columns of rows."""
    return list(zip(*rows, strict=True))


class Columns:
    """Rows of one table, grouped by day, since one insert may touch only so many partitions.

    `columns_of` makes the columns that are named of the rows that are added.
    """

    def __init__(
        self,
        table: str,
        names: Sequence[str],
        columns_of: Callable[[Sequence[Row]], list[Sequence[Any]]] = transposed,
    ) -> None:
        self.table = table
        self.names = tuple(names)
        self._columns_of = columns_of
        self._days: dict[int, list[Row]] = {}

    @property
    def rows(self) -> int:
        """Count the rows."""
        return sum(len(rows) for rows in self._days.values())

    def add(self, at_ns: int, row: Row) -> None:
        """Add a row that belongs to the day of `at_ns`, its values in the order of the names (see `columns_of`)."""
        day = at_ns // DAY_NS
        rows = self._days.get(day)
        if rows is None:
            rows = self._days[day] = []
        rows.append(row)

    def by_day(self) -> Iterator[tuple[int, list[Sequence[Any]]]]:
        """Give each day's columns, oldest first."""
        for day, rows in sorted(self._days.items()):
            yield day, self._columns_of(rows)
