"""What is wrong with a configuration: one problem each, with its place, all of them at once.

ConfigError    never: carries every problem; the command line prints them and exits with 2
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rapidfuzz import fuzz, process

NEAR = 60.0
"""How alike (0-100) a known name must be to be offered."""

Path = tuple[str, ...]


class Place(NamedTuple):
    """Where something stands: a file (or `--set ...`), and its line, 0 where there is none."""

    source: str
    line: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source


class Problem(NamedTuple):
    """One thing that is wrong."""

    place: Place
    path: Path
    message: str

    def __str__(self) -> str:
        where = "::".join(self.path)
        return f"{self.place}: {where}: {self.message}" if where else f"{self.place}: {self.message}"


class ConfigError(ValueError):
    """A configuration that cannot be used. `problems` lists everything that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = list(problems)


def nearest(name: str, known: Iterable[str]) -> str:
    """Offer the nearest known name as the end of a message, or list what there is."""
    names = sorted(known)
    best = process.extractOne(name, names, scorer=fuzz.WRatio, score_cutoff=NEAR)
    if best is not None:
        return f"did you mean {best[0]!r}?"
    return f"known here: {', '.join(names)}" if names else "nothing is known here"
