"""The course of a run: how near each step comes to its task, and whether the run was near to it once and left it.

How near a text comes to a task depends first of all on how long and how plain it is, so a step counts by how much
nearer it comes to the words of the task than to words about nothing in particular. What is left is compared within the
run alone: its later steps with its earlier ones, and both with how much steps of this run differ anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import msgspec

from schemas.step import SpanRef

PLAIN = "time person year thing world life hand part child woman place work week case point company number group fact"
"""Words about nothing in particular: of the commonest nouns of English by the Oxford English Corpus those that are long
enough to be read here."""
LEAST_PART = 3
"""Steps there must be on either side of where a run left its task."""
NEAR = 0.1
"""How much nearer to its task than to plain words a run must have been: else its steps tell nothing of the task, and a
run that was never near has not left."""
FADED = 0.25
"""Share of that nearness up to which the rest of the run has let go of its task."""
STANDS_OUT = 1.0
"""By how many standard deviations of its steps, on either side, the fall must stand out.
Of 442 runs of eight steps and more from five development corpora 9 are told as they are; 298 with the second half of a
run of another corpus in the place of theirs, 140 where that is of the same corpus, and 249 where it comes in slowly.
FADED and STANDS_OUT were chosen on such runs."""
JUMP = 0.7
"""Which part of the fall one step must make up for it to be a jump."""
NOISE = 0.03
"""Standard deviation that steps have at least, so that a run of equal ones stands out by no chance."""
FIRST_KEPT, LAST_KEPT = 16, 32
"""Steps that are remembered of a run, the first ones and the newest ones."""
SLOW, SUDDEN = "slow", "sudden"


class Course(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How much nearer one step comes to the words of the task than to plain ones, -1 to 1."""

    span: SpanRef
    near: float


class Departure(NamedTuple):
    """Where a run left its task: with which of its steps, how near it was before and after, how that stands out."""

    place: int
    before: float
    after: float
    stands_out: float
    how: str


def extended(course: list[Course], step: Course) -> list[Course]:
    """Add a step; beyond what is kept, one from the middle is forgotten."""
    kept = [*course, step]
    return kept if len(kept) <= FIRST_KEPT + LAST_KEPT else kept[:FIRST_KEPT] + kept[-LAST_KEPT:]


def departure_of(course: Sequence[Course]) -> Departure | None:
    """Say where a run left its task, if it did: at the step that parts nearer ones from farther ones best."""
    near = [step.near for step in course]
    places = range(LEAST_PART, len(near) - LEAST_PART + 1)
    if not places:
        return None
    place = max(places, key=lambda at: _mean(near[:at]) - _mean(near[at:]))
    before, after = _mean(near[:place]), _mean(near[place:])
    spread = sqrt((_squares(near[:place], before) + _squares(near[place:], after)) / len(near)) + NOISE
    stands_out = (before - after) / spread
    if before < NEAR or after > FADED * before or stands_out < STANDS_OUT:
        return None
    return Departure(place, before, after, stands_out, _how(near, place, before - after))


def _how(near: Sequence[float], place: int, left: float) -> str:
    """Tell a jump from a slow drift: one step makes up most of it, and the first part was no nearer when it began."""
    half = place // 2
    is_level = _mean(near[:half]) - _mean(near[half:place]) < left / 2
    return SUDDEN if near[place - 1] - near[place] >= JUMP * left and is_level else SLOW


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def _squares(numbers: Sequence[float], mean: float) -> float:
    return sum((number - mean) ** 2 for number in numbers)
