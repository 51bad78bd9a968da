"""Cycles in a row of actions: for every period up to eight, how long each action has equalled the one a period ago."""

from __future__ import annotations

import msgspec

PERIODS = 8
"""Longest cycle, in actions."""
TELLING_REPETITION = 3
"""A loop counts from this repetition on."""
_GROWTH = 1.2
_SHORTEST_WAIT_MS = 200


class Seen(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An action as it stands in its row. `trace` is empty for the run's first; times are since the run began."""

    index: int
    near: int
    exact: int
    heard: int
    marks: int
    idle_ms: int
    start_ms: int
    tokens: int
    name: str
    span: str
    trace: str


class Cycles(msgspec.Struct, array_like=True):
    """The last actions of a row, and per period how many in a row have equalled the one before."""

    recent: list[Seen]
    runs: list[int]
    starts: dict[int, Seen]
    inexact: int = 0

    def take(self, seen: Seen) -> None:
        """Add an action and compare it with those before; costs the same however many there were."""
        recent = self.recent
        if self._holds(seen.near):
            self._compare(seen)
        elif self.starts:
            self._restart()
        recent.append(seen)
        if len(recent) > PERIODS:
            del recent[0]

    def _holds(self, near: int) -> bool:
        for known in self.recent:  # noqa: SIM110  # half the time of a generator, on every action
            if known.near == near:
                return True
        return False

    def forget(self) -> None:
        """Let go of all actions: what comes now is compared with none of them."""
        self.recent.clear()
        self._restart()

    def crossed(self, alone: int = TELLING_REPETITION, rounds: int = TELLING_REPETITION) -> int:
        """Name the shortest period that has come round often enough, or 0.

        `alone` is how often a single action must, `rounds` how often several must.
        """
        if not self.starts:
            return 0
        return min((period for period in self.starts if self._came_round(period, alone, rounds)), default=0)

    def is_exact(self, period: int) -> bool:
        """Say whether the repetitions of a period equal each other to the letter."""
        return not self.inexact >> period & 1

    def is_named_alike(self, period: int) -> bool:
        """Say whether the same tools, or speakers, came round: several who say the same once each are no cycle."""
        recent = self.recent
        pairs = min(self.runs[period - 1], len(recent) - period)
        return all(recent[-at].name == recent[-at - period].name for at in range(1, pairs + 1))

    def backs_off(self) -> bool:
        """Say whether the last three actions waited ever longer: somebody lets time pass on purpose."""
        if len(self.recent) < TELLING_REPETITION:
            return False
        first, second, third = (seen.idle_ms for seen in self.recent[-TELLING_REPETITION:])
        return third >= _SHORTEST_WAIT_MS and second >= _GROWTH * first and third >= _GROWTH * second

    def _came_round(self, period: int, alone: int, rounds: int) -> bool:
        needed = alone if period == 1 else rounds
        return self.runs[period - 1] >= period * (needed - 1)

    def _compare(self, seen: Seen) -> None:
        for period, known in enumerate(reversed(self.recent), start=1):
            if known.near != seen.near:
                self._break(period)
                continue
            if not self.runs[period - 1]:
                self.starts[period] = known
            self.runs[period - 1] += 1
            if known.exact != seen.exact:
                self.inexact |= 1 << period

    def _break(self, period: int) -> None:
        if self.runs[period - 1]:
            self.runs[period - 1] = 0
            del self.starts[period]
            self.inexact &= ~(1 << period)

    def _restart(self) -> None:
        self.runs = [0] * PERIODS
        self.starts.clear()
        self.inexact = 0


def begin_cycles() -> Cycles:
    """Make the row that has shown nothing yet."""
    return Cycles([], [0] * PERIODS, {})
