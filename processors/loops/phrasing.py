"""Searches and sayings in other words: a row of short texts about one thing, with nothing new coming of any."""

from __future__ import annotations

import msgspec

from processors.loops.cycles import TELLING_REPETITION, Seen
from processors.loops.wording import SHARED_WORDS, is_same_form, related

UNTOLD_REPETITION = 4
"""Repetitions it takes where results say the same each time, but not that there is nothing."""
_WORDS_CAP = 80
"""Bytes of wording that are remembered of a row."""
_RESULTS_CAP = 4


class Phrasing(msgspec.Struct, array_like=True):
    """A row of texts about one thing. `reworded` counts texts in other words than the one before.

    `is_state`: what came of each is the state after it; where that stays the same, one word in common is enough.
    """

    first: Seen
    words: bytes
    last: bytes
    results: list[int]
    count: int = 1
    barren: int = 0
    reworded: int = 0
    is_state: bool = False

    def follows(self, seen: Seen, words: bytes, barren: bool) -> bool:
        """Say whether an action goes on with this row: the same tool or speaker, the same thing, nothing new."""
        same = seen.heard != 0 and seen.heard in self.results
        if not words or seen.name != self.first.name or not (barren or same):
            return False
        return words == self.last or related(words, self.words, 1 if self.is_state else SHARED_WORDS)

    def add(self, seen: Seen, words: bytes, barren: bool) -> None:
        """Go on with this row."""
        self.count += 1
        self.barren += barren
        self.reworded += words != self.last and not is_same_form(words, self.last)
        self.last = words
        if len(self.words) < _WORDS_CAP:
            self.words += words
        if seen.heard not in self.results and len(self.results) < _RESULTS_CAP:
            self.results.append(seen.heard)

    def crossed(self) -> bool:
        """Say whether this has gone on for too long; one form filled in again and again is work, or polling."""
        if 2 * self.reworded <= self.count - 1:
            return False
        needed = TELLING_REPETITION if self.barren == self.count else UNTOLD_REPETITION
        return self.count >= needed


def begin_phrasing(seen: Seen, words: bytes, barren: bool, is_state: bool) -> Phrasing:
    """Begin a row with its first text."""
    return Phrasing(seen, words, words, [seen.heard], 1, int(barren), is_state=is_state)
