"""Words of content: those that say what a text is about."""

from __future__ import annotations

import re
from collections.abc import Iterator

from processors.loops.vocabulary import JOINING_WORDS

LETTERS = re.compile(r"[^\W\d_]{4,}")
"""A word long enough to carry content."""


def content_words(text: str) -> Iterator[str]:
    """Give the distinct words of content of a text, lower case, in order; reads no further than it is asked."""
    seen: set[str] = set()
    for match in LETTERS.finditer(text.lower()):
        word = match.group()
        if word not in seen and word not in JOINING_WORDS:
            seen.add(word)
            yield word
