"""Words of content: those that say what a text is about."""

from __future__ import annotations

import re
from itertools import islice
from typing import Final

from processors.loops.vocabulary import JOINING_WORDS

LEAST: Final = 4
"""Letters from which on a word is long enough to carry content."""
WORDS_REMEMBERED: Final = 16_384
"""Words of which it is remembered whether they carry content; when they are that many, all are forgotten."""
_LETTERS = re.compile(r"[^\W\d_]+")
_APART = {code: chr(code).lower() if chr(code).isalpha() else " " for code in range(128)}


class _Content(dict[str, str]):
    """Each word met so far, or nothing where it carries no content."""

    def __missing__(self, word: str) -> str:
        if len(self) >= WORDS_REMEMBERED:
            self.clear()
        found = self[word] = word if len(word) >= LEAST and word not in JOINING_WORDS else ""
        return found


_CONTENT = _Content()


def content_words(text: str, most: int | None = None) -> list[str]:
    """Give the distinct words of content of a text, lower case, in order: the first so many, or all."""
    words = text.translate(_APART).split() if text.isascii() else _LETTERS.findall(text.lower())
    return list(islice(dict.fromkeys(filter(None, map(_CONTENT.__getitem__, words))), most))
