"""Which rows of a run's window have to be written anew: one row for so many steps, and one for the folds before them.

A run in order writes its last row only, however long it is; rows are numbered for the run's whole life.
"""

from __future__ import annotations

from collections.abc import Iterable

BASE = "base"
"""The row of the folds before the first step of the window."""


class WindowRows:
    """The rows of one window, `size` steps each. `first` is the number of the first one that is still there.

    `stored` says that all of them are written as they are.
    """

    def __init__(self, size: int, first: int = 0, stored: bool = False) -> None:
        self._size = size
        self.first = first
        self._changed: set[int] = set()
        self._gone: set[int] = set()
        self.base_changed = not stored

    def changed(self, place: int) -> None:
        """Note that the step at a place of the window is new, or another."""
        self._changed.add(self.first + place // self._size)

    def moved(self, place: int, count: int) -> None:
        """Note that all steps from a place on stand elsewhere; `count` is how many there are, or were."""
        last = max(place, count - 1)
        self._changed.update(range(self.first + place // self._size, self.first + last // self._size + 1))

    def let_go(self) -> None:
        """Note that the first row left the window, so that every step stands a row further ahead."""
        self._changed.discard(self.first)
        self._gone.add(self.first)
        self.first += 1
        self.base_changed = True

    def forget(self, numbers: Iterable[int]) -> None:
        """Note rows that somebody else left behind."""
        self._gone.update(numbers)

    def take(self) -> tuple[list[int], list[int]]:
        """Give the numbers of the rows that changed, and of those that are gone, since the last time."""
        changed, gone = sorted(self._changed), sorted(self._gone - self._changed)
        self._changed.clear()
        self._gone.clear()
        self.base_changed = False
        return changed, gone


def row_key(key: str, number: int | str) -> str:
    """Name a row of a run."""
    return f"{key}/{number:010}" if isinstance(number, int) else f"{key}/{number}"


def number_of(row: str) -> int | None:
    """Read the number out of a row's name; None for the row of the folds."""
    last = row.rpartition("/")[2]
    return int(last) if last.isdigit() else None
