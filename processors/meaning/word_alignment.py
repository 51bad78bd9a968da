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

WORDS_OF, WORDS_NEAREST, WORDS_BY = 40, 64, 160
"""Distinct words of content that are looked at of the text asked about, for a share and one by one, and of the one that
may cover it."""
WORDS_REMEMBERED = 32_768
TEXTS_REMEMBERED, TEXT_CAP = 256, 1_024
"""Texts whose words are remembered, for roles and tasks come again with each step; longer ones are not."""
READ_CAP = 4_096
"""Characters of a text that are read: more than hold so many words in most of them."""
TOO_NEAR = 0.6
"""Cosine to a word left apart from which on a word is one of its kind (assist, help, helping)."""

Rows = npt.NDArray[np.float32]


class WordAlignment:
    """Aligns the words of texts by their vectors, which it remembers as rows of one matrix."""

    def __init__(self, table: StaticTable) -> None:
        self._words = _WordRows(table)
        self._texts: dict[tuple[str, int], Rows] = {}

    def coverage(self, of: str, by: str, apart: str = "") -> tuple[float, int, int]:
        """Say how much of a text another covers, 0 to 1, and how many words of either that rests on.

        Words near to those of `apart` are not counted. Without words on either side the share is 0.
        """
        asked, told = self._rows(of, WORDS_OF), self._rows(by, WORDS_BY)
        own = _count_without(asked, self._rows(apart, WORDS_OF)) if apart else len(asked)
        if not len(asked) or not len(told):
            return 0.0, own, len(told)
        return round(float(_nearest(asked, told).mean()), 3), own, len(told)

    def nearest(self, of: str, by: str) -> list[float]:
        """Say for each distinct word of content of a text how near the other comes to it, 0 to 1."""
        asked, told = self._rows(of, WORDS_NEAREST), self._rows(by, WORDS_BY)
        if not len(asked) or not len(told):
            return [0.0] * len(asked)
        near: list[float] = np.maximum(_nearest(asked, told), 0.0).round(3).tolist()
        return near

    def _rows(self, text: str, most: int) -> Rows:
        """Give the vectors of a text's first words of content."""
        if len(text) > TEXT_CAP:
            return self._words.rows(text[:READ_CAP], most)
        known = self._texts.get((text, most))
        if known is None:
            if len(self._texts) >= TEXTS_REMEMBERED:
                self._texts.clear()
            known = self._texts[text, most] = self._words.rows(text, most)
        return known


class _WordRows(dict[str, int]):
    """The row of each word met so far; -1 for those that say nothing or that the table does not know."""

    def __init__(self, table: StaticTable) -> None:
        super().__init__()
        self._table = table
        self._filled = 0
        self._matrix: Rows = np.zeros((1_024, DIMENSIONS), np.float32)

    def rows(self, text: str, most: int) -> Rows:
        """Give the vectors of the distinct words of content of a text, in order, of the first so many."""
        if len(self) >= WORDS_REMEMBERED:
            self._forget()
        numbers = [number for number in map(self.__getitem__, content_words(text)) if number >= 0][:most]
        return self._matrix.take(numbers, axis=0)

    def __missing__(self, word: str) -> int:
        row = self._made(word)
        if row is None:
            self[word] = -1
            return -1
        if self._filled == len(self._matrix):
            self._matrix = np.concatenate([self._matrix, np.zeros_like(self._matrix)])
        self._matrix[self._filled] = row
        self[word] = self._filled
        self._filled += 1
        return self._filled - 1

    def _made(self, word: str) -> Rows | None:
        pieces = self._table.pieces.numbers(word)
        total = self._table.total(pieces)[:DIMENSIONS].astype(np.float32) if pieces else np.zeros(1, np.float32)
        length = float(np.sqrt(total @ total))
        return total / np.float32(length) if length else None

    def _forget(self) -> None:
        self.clear()
        self._filled = 0


def _nearest(asked: Rows, told: Rows) -> Rows:
    nearest: Rows = (asked @ told.T).max(axis=1)
    return nearest


def _count_without(rows: Rows, apart: Rows) -> int:
    if not len(rows) or not len(apart):
        return len(rows)
    return int((_nearest(rows, apart) < TOO_NEAR).sum())
