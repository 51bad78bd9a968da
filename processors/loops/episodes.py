"""Episodes: a loop from its first action to where the run recovers, with the figures it is weighed by."""

from __future__ import annotations

import msgspec

from processors.loops.cycles import TELLING_REPETITION, Seen
from schemas.canonical import content_hash
from schemas.detection import CLOSED, OPEN

ONCE_MORE = 0.66
"""How sure it is of messages that went back and forth twice: of 7 that were told 7 were right (95 % sure of 65 %)."""

EXACT, NEAR, WORDING, NAMES, OUTCOME = "exact", "near", "wording", "names", "outcome"
"""How the repetitions equal each other: to the letter, but for volatile parts, in other words, by name and size, or
only by what came of them."""
TOOL, TALK = "tool", "talk"
ROUNDS_TOLD = 8
"""Rounds up to which each one is told; from then on each doubling is."""


class Episode(msgspec.Struct, array_like=True):
    """A loop. `cycle` holds what belongs to it, by fingerprint; `hits` counts its actions so far.

    `unseen`: what came of its calls was not captured. `steady`: the model calls between them grew alike. `outcome`
    fingerprints what came of each where only that is the same.
    """

    match: str
    about: str
    cycle: list[int]
    names: list[str]
    preview: str
    first: Seen
    crossing: Seen
    between: list[tuple[str, str]]
    crossed_ns: int
    last: Seen
    last_ms: int
    hits: int
    failed: bool
    unseen: bool
    steady: bool = False
    strays: int = 0
    status: str = OPEN
    outcome: int = 0

    @property
    def period(self) -> int:
        """Actions of one round."""
        return len(self.cycle)

    @property
    def repetitions(self) -> int:
        """Whole rounds so far."""
        return self.hits // len(self.cycle)

    @property
    def stage(self) -> int:
        """How often the repetitions have doubled."""
        return self.repetitions.bit_length()

    @property
    def tokens(self) -> int:
        """Tokens of the model calls since its first action."""
        return max(0, self.last.tokens - self.first.tokens)

    @property
    def seconds(self) -> int:
        """Seconds since its first action began."""
        return max(0, self.last_ms - self.first.start_ms) // 1_000

    @property
    def told(self) -> int:
        """Count what is worth telling: each of the first rounds, then each doubling."""
        return self.repetitions if self.repetitions <= ROUNDS_TOLD else 4 + self.stage

    def add(self, seen: Seen, end_ms: int) -> bool:
        """Take in one more action of the loop; returns whether that is worth telling."""
        before = self.told
        self.hits += 1
        self.strays = 0
        self.last, self.last_ms = seen, end_ms
        return self.told > before

    def stray(self) -> bool:
        """Note an action that is not part of the loop; returns whether the run has recovered by that."""
        self.strays += 1
        if self.strays > self.period or self.match == WORDING:
            self.status = CLOSED
        return self.status == CLOSED

    def fingerprint(self) -> str:
        """Fingerprint what repeats, from wherever in the cycle the loop was entered."""
        turns = (self.cycle[at:] + self.cycle[:at] for at in range(len(self.cycle)))
        return content_hash(f"{self.about}/{min(turns)}".encode())

    def confidence(self) -> float:
        """Say how sure it is: by how the repetitions match, what of them was seen, and how many there are."""
        if self.match == NAMES:
            return min(0.7, (0.6 if self.steady else 0.45) + 0.01 * (self.hits - 5))
        if self.match in (WORDING, OUTCOME):
            return min(0.78, 0.58 + 0.04 * (self.hits - 3))
        if self.repetitions < TELLING_REPETITION:
            return ONCE_MORE
        sure = min(0.96, 0.76 + 0.05 * (self.hits - 3)) - (0.06 if self.match == NEAR else 0.0)
        return sure - 0.12 if self.unseen else sure

    def score(self) -> int:
        """Weigh it from 0 to 100: by repetitions, tokens and time spent since the first."""
        spent = min(self.tokens.bit_length() // 3, 6) + min(self.seconds.bit_length() // 3, 4)
        return min(100, 34 + 9 * min(self.stage, 6) + 2 * spent)
