"""A row of one agent's acts, one after the other: the same thing again in other words, with nothing new coming of it.

What comes of an act decides. Cosines alone do not: of a static table they are high for any two texts of one trade
(consecutive sayings of models in passed runs: median .84, same tool's unequal results: median .95).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from processors.detector import Embedder
from processors.loops.wording import is_same_form, related
from processors.meaning.repetition_acts import Act, Meaning, Sort
from processors.meaning.vectors import likenesses
from processors.meaning.word_sketch import WORD_BYTES, is_figure, joined, news, split
from schemas.detection import CLOSED, OPEN

SAME_SHORT, SAME_LONG = 0.7, 0.92
"""Cosine from which on two texts are about the same. Rewordings of one question measure .74 to .92, the same question
about another thing .75 to .84, so `is_same_form` and new figures are asked too. Long texts are alike anyway: rewordings
of one paragraph measure .95 to .97, paragraphs of one kind about other things .86 to .89."""
LONG_WORDS = 24
"""Words of content from which on a text is long."""
NEW_WORDS = 0.2
"""Share of words never met in the row up to which an outcome is nothing new; the rest is how answers are phrased."""
NEW_WORDS_LIKE = 0.5
"""The same, where a short outcome is about the same as one before; and of a long text that says the same again
(measured: .12 to .44, the first time most; paragraphs of one kind about other things .36 to .87)."""
SURE_REPETITIONS, REPETITIONS = 3, 4
"""Acts it takes: calls of which nothing came, and long texts, which are not alike by chance; and the rest."""
MOST_SURE = 0.78
"""Confidence is never more, so that what a table of word vectors says mends nothing by itself."""
REMEMBERED, SPANS_CAP, KNOWN_CAP = 4, 8, 512
STRAYS = 2
"""Acts about something else in a row that end an episode."""


class Place(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where an act stands in its run: its number, its span and when it began (ms since the run did)."""

    index: int
    span: str
    trace: str
    start_ms: int
    start_ns: int


class Row(msgspec.Struct, array_like=True):
    """Acts about one thing.

    `reworded` counts those in other words than the one before, `forms` those of them that fill in one form, `beyond`
    those that comparing words does not connect. `crossing` is where it became too many.
    """

    first: Place
    last: Place
    name: str
    sort: int
    preview: str
    meanings: list[Meaning]
    brought: list[Meaning]
    words: bytes
    known: bytes
    heard: list[int]
    spans: list[Place]
    count: int = 1
    barren: int = 0
    reworded: int = 0
    beyond: int = 0
    forms: int = 0
    long: int = 0
    strays: int = 0
    told: int = 0
    crossing: Place | None = None
    status: str = OPEN

    @property
    def is_open(self) -> bool:
        """Whether it has been told and goes on."""
        return self.crossing is not None and self.status == OPEN

    def follows(self, act: Act, embedder: Embedder) -> bool:
        """Say whether an act goes on with this row: about the same, in the same way, and nothing new came of it.

        Words are compared first: vectors are made of those few acts only that bring none that are new.
        """
        if act.name != self.name or act.sort != self.sort or not (act.captured and act.meaning):
            return False
        known = self._known()
        share, figures = news(act.asked, known)
        if figures or (act.is_long(LONG_WORDS) and share > NEW_WORDS_LIKE):
            return False
        return self._brings_nothing_new(act, known, embedder) and self._is_about_it(act, embedder)

    def add(self, act: Act, place: Place) -> bool:
        """Go on with this row; returns whether that is worth telling."""
        self.count += 1
        self.barren += act.nothing
        self.long += act.is_long(LONG_WORDS)
        self._compare(act, place)
        self._remember(act)
        self.last, self.strays = place, 0
        if len(self.spans) < SPANS_CAP:
            self.spans.append(place)
        return self._crosses(place)

    def _is_about_it(self, act: Act, embedder: Embedder) -> bool:
        same = SAME_LONG if act.is_long(LONG_WORDS) else SAME_SHORT
        return _is_like_any(act.meaning, self.meanings, same, embedder)

    def _brings_nothing_new(self, act: Act, known: frozenset[int], embedder: Embedder) -> bool:
        if act.nothing or act.heard in self.heard or self.heard == [0]:
            return True  # the last: nothing was heard yet that this could be compared with
        share, figures = news(act.outcome, known)
        if figures:
            return act.sort == Sort.TURN and act.is_long(LONG_WORDS) and self._only_counts(act, known)
        if share <= NEW_WORDS:
            return True
        return share <= NEW_WORDS_LIKE and _is_like_any(act.brought, self.brought, SAME_SHORT, embedder)

    @staticmethod
    def _only_counts(act: Act, known: frozenset[int]) -> bool:
        """Say whether the state after a turn differs from those before in figures alone: a counter is no progress."""
        return all(word in known or is_figure(word) for word in split(act.outcome))

    def _compare(self, act: Act, place: Place) -> None:
        if act.words and act.words == self.words:
            return
        self.reworded += 1
        self.forms += bool(act.words and self.words) and is_same_form(act.words, self.words)
        self.beyond += not self._is_linked_by_words(act, place)

    def _is_linked_by_words(self, act: Act, place: Place) -> bool:
        """Say whether comparing words is enough to see it, which `loop` does."""
        apart = is_saying(self) and place.index != self.last.index + 1
        unchanged = act.heard in self.heard
        if apart or not (unchanged and act.heard if act.sort == Sort.TURN else unchanged or act.nothing):
            return False  # of turns it compares those that leave one state behind
        return bool(act.words and self.words) and related(act.words, self.words)

    def _remember(self, act: Act) -> None:
        self.words = act.words
        self.meanings = [*self.meanings, act.meaning][-REMEMBERED:]
        if act.brought:
            self.brought = [*self.brought, act.brought][-REMEMBERED:]
        if act.heard not in self.heard:
            self.heard = [*self.heard, act.heard][-REMEMBERED:]
        known = self._known()
        fresh = dict.fromkeys(word for word in split(act.asked + act.outcome) if word not in known)
        self.known = (self.known + joined(fresh))[-WORD_BYTES * KNOWN_CAP :]

    def _known(self) -> frozenset[int]:
        return frozenset(split(self.known))

    def _crosses(self, place: Place) -> bool:
        sure = self.long == self.count if self.sort != Sort.CALL else self.barren >= self.count - 1
        needed = SURE_REPETITIONS if sure else REPETITIONS
        if self.count < needed or 2 * (self.reworded - self.forms) < self.count - 1 or not self.beyond:
            return False
        if self.crossing is None:
            self.crossing = place
        stage = (self.count - needed) // needed + 1
        told, self.told = self.told, max(self.told, stage)
        return self.told > told

    def stray(self) -> bool:
        """Note an act about something else; returns whether that ends an episode that was told."""
        self.strays += 1
        if self.strays >= STRAYS and self.is_open:
            self.status = CLOSED
            return True
        return False

    def confidence(self) -> float:
        """Say how sure it is: by how many there are, and whether anything came of them."""
        sure = 0.62 if self.barren >= self.count - 1 else 0.5
        return min(MOST_SURE, sure + 0.05 * (self.count - SURE_REPETITIONS))


def _is_like_any(one: Meaning, others: Sequence[Meaning], same: float, embedder: Embedder) -> bool:
    vectors = [other.vector(embedder) for other in others]
    return float(likenesses(one.vector(embedder), vectors).max(initial=0.0)) >= same


def begin_row(act: Act, place: Place) -> Row:
    """Begin a row with its first act; most rows end with it."""
    return Row(
        place,
        place,
        act.name,
        act.sort,
        act.preview,
        [act.meaning],
        [act.brought] if act.brought else [],
        act.words,
        joined(dict.fromkeys(split(act.asked + act.outcome))),
        [act.heard],
        [place],
        barren=int(act.nothing),
        long=int(act.is_long(LONG_WORDS)),
    )


def is_saying(row: Row) -> bool:
    """Say whether a row is of what an agent says, not of what it asks tools."""
    return row.sort != Sort.CALL
