"""Sketches of texts: the words that carry content, two bytes each, in the order they first come; and what is new."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Final

from processors.loops.wording import FIGURE, packed_word, words_of

READ_CAP = 2_048
"""Characters of a text that are read: those of more words than are sketched."""
SKETCH_CAP = 64
"""Words of a text that are sketched."""
WORD_BYTES = 2
WORDS_REMEMBERED: Final = 32_768
"""Words whose sketch is remembered; when they are that many, all are forgotten."""
_FIGURE = FIGURE if sys.byteorder == "little" else FIGURE << 8


class _Sketched(dict[str, bytes]):
    """The sketch of each word met so far; empty for one that carries no content."""

    def __missing__(self, word: str) -> bytes:
        if len(self) >= WORDS_REMEMBERED:
            self.clear()
        packed = packed_word(word)
        found = self[word] = packed if packed[0] & 3 else b""
        return found


_SKETCHED = _Sketched()


def sketch(text: str) -> bytes:
    """Sketch a text: its distinct words of content and its figures."""
    words = words_of(text[:READ_CAP])
    return b"".join(dict.fromkeys(map(_SKETCHED.__getitem__, words)))[: SKETCH_CAP * WORD_BYTES]


def split(sketched: bytes) -> list[int]:
    """Take a sketch apart: a number for each word."""
    return memoryview(sketched).cast("H").tolist()


def joined(words: Iterable[int]) -> bytes:
    """Put words together again."""
    return array("H", words).tobytes()


def is_figure(word: int) -> bool:
    """Say whether a word of a sketch is a figure."""
    return word & _FIGURE != 0


def news(sketched: bytes, known: AbstractSet[int]) -> tuple[float, int]:
    """Say which share of a text's words is not known, and how many figures are not; (0, 0) for no words."""
    words = split(sketched)
    if not words:
        return 0.0, 0
    new = set(words).difference(known)
    return len(new) / len(words), sum(map(is_figure, new))
