"""How far a detector may be trusted: production, beta, experimental or unmeasured, from labelled runs and verdicts.

The figures are counts of labelled runs (`readiness_figures.json`, written by `python -m tests.benchmarks.readiness`).

| level | labelled runs | of them with the fault | F1 | precision |
| production | 200 | 50 | .80 | .80 |
| beta | 50 | 10 | .60 | .60 |

Below that it is experimental; without a run that has the fault and one that has not it is unmeasured.
"""

from __future__ import annotations

from importlib.resources import files
from typing import NamedTuple

import msgspec

PRODUCTION, BETA, EXPERIMENTAL, UNMEASURED = "production", "beta", "experimental", "unmeasured"
LEVELS = (PRODUCTION, BETA, EXPERIMENTAL, UNMEASURED)
TYPE_OF = {"state_delta": "corruption", "token_growth": "token_explosion"}
"""What a detector finds, where that is not called as it is."""


class Needed(NamedTuple):
    """What a level needs."""

    level: str
    runs: int
    faulty: int
    f1: float
    precision: float


NEEDED = (Needed(PRODUCTION, 200, 50, 0.80, 0.80), Needed(BETA, 50, 10, 0.60, 0.60))


class Figures(msgspec.Struct, frozen=True):
    """Labelled runs by what they have and what was told: hits, misses, false alarms, and rightly nothing."""

    tp: int
    fn: int
    fp: int
    tn: int

    @property
    def precision(self) -> float:
        """Give the share of alarms that were right, 0 where there were none."""
        return self.tp / (self.tp + self.fp) if self.tp else 0.0

    @property
    def f1(self) -> float:
        """Give F1, 0 where nothing was found."""
        return 2 * self.tp / (2 * self.tp + self.fp + self.fn) if self.tp else 0.0


def measured() -> dict[str, Figures]:
    """Read the packaged figures, by detection type."""
    packaged = (files("processors") / "readiness_figures.json").read_bytes()
    return msgspec.json.decode(packaged, type=dict[str, Figures])


def level_of(figures: Figures | None) -> str:
    """Say how ready a detector of such figures is."""
    if figures is None or not figures.tp + figures.fn or not figures.fp + figures.tn:
        return UNMEASURED
    faulty = figures.tp + figures.fn
    runs = faulty + figures.fp + figures.tn
    for need in NEEDED:
        enough = runs >= need.runs and faulty >= need.faulty
        if enough and figures.f1 >= need.f1 and figures.precision >= need.precision:
            return need.level
    return EXPERIMENTAL


def after_verdicts(level: str, highest_precision: float) -> str:
    """Lower a level that people's verdicts rule out: where even the upper end of their interval is too low for it."""
    for need in NEEDED:
        if level == need.level and highest_precision < need.precision:
            level = BETA if need.level == PRODUCTION else EXPERIMENTAL
    return level


def readiness(detector: str) -> str:
    """Say how ready a detector is by the packaged figures; `detector` is its file's name, or what it finds."""
    return level_of(measured().get(TYPE_OF.get(detector, detector)))
