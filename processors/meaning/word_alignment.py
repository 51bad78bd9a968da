"""How much of what one text speaks of another speaks of too: word by word, each with the nearest of the other's words.

Tells more than one cosine of whole texts where texts are short (personas against outputs: area under the curve .98
against .93; requests against answers: .85 against .62), because one shared subject in many words is not averaged away.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from processors.meaning.content_words import content_words
from processors.meaning.static_table import StaticTable
from processors.meaning.vectors import DIMENSIONS

WORDS_OF, WORDS_BY = 40, 160
"""Distinct words of content that are looked at of the text asked about, and of the one that may cover it."""
WORDS_REMEMBERED = 32_768
TOO_NEAR = 0.6
"""Cosine to a word left apart from which on a word is one of its kind (assist, help, helping)."""

Rows = npt.NDArray[np.float32]


class WordAlignment:
    """Aligns the words of texts by their vectors, which it remembers."""

    def __init__(self, table: StaticTable) -> None:
        self._table = table
        self._known: dict[str, Rows | None] = {}

    def coverage(self, of: str, by: str, apart: str = "") -> tuple[float, int, int]:
        """Say how much of a text another covers, 0 to 1, and how many words of either that rests on.

        Words near to those of `apart` are not counted. Without words on either side the share is 0.
        """
        asked, told = self._rows(of, WORDS_OF), self._rows(by, WORDS_BY)
        own = self._count_without(asked, self._rows(apart, WORDS_OF)) if apart else len(asked)
        if not asked or not told:
            return 0.0, own, len(told)
        nearest = (np.stack(asked) @ np.stack(told).T).max(axis=1)
        return round(float(nearest.mean()), 3), own, len(told)

    def nearest(self, of: str, by: str) -> list[float]:
        """Say for each distinct word of content of a text how near the other comes to it, 0 to 1."""
        asked, told = self._rows(of, WORDS_OF), self._rows(by, WORDS_BY)
        if not asked or not told:
            return [0.0] * len(asked)
        return [round(max(0.0, float(one)), 3) for one in (np.stack(asked) @ np.stack(told).T).max(axis=1)]

    def _rows(self, text: str, most: int) -> list[Rows]:
        rows: list[Rows] = []
        for word in content_words(text):
            row = self._row(word)
            if row is not None:
                rows.append(row)
                if len(rows) >= most:
                    break
        return rows

    def _row(self, word: str) -> Rows | None:
        if word not in self._known:
            if len(self._known) >= WORDS_REMEMBERED:
                self._known.clear()
            self._known[word] = self._made(word)
        return self._known[word]

    def _made(self, word: str) -> Rows | None:
        pieces = self._table.pieces.numbers(word)
        total = self._table.total(pieces)[:DIMENSIONS].astype(np.float32) if pieces else np.zeros(1, np.float32)
        length = float(np.sqrt(total @ total))
        return total / np.float32(length) if length else None

    @staticmethod
    def _count_without(rows: list[Rows], apart: list[Rows]) -> int:
        if not rows or not apart:
            return len(rows)
        near = (np.stack(rows) @ np.stack(apart).T).max(axis=1)
        return int((near < TOO_NEAR).sum())
