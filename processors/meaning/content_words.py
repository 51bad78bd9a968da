"""Words of content: those that say what a text is about."""

from __future__ import annotations

import re
from itertools import islice

from processors.loops.vocabulary import JOINING_WORDS

LEAST = 4
"""Letters from which on a word is long enough to carry content."""
_LETTERS = re.compile(rf"[^\W\d_]{{{LEAST},}}")
_APART = {code: chr(code).lower() if chr(code).isalpha() else " " for code in range(128)}


def long_words(text: str) -> list[str]:
    """Give the words of a text that are long enough, lower case, in order, as often as they come."""
    if not text.isascii():
        return _LETTERS.findall(text.lower())
    return [word for word in text.translate(_APART).split() if len(word) >= LEAST]


def content_words(text: str, most: int) -> list[str]:
    """Give the first distinct words of content of a text, lower case, in order."""
    return list(islice((word for word in dict.fromkeys(long_words(text)) if word not in JOINING_WORDS), most))
