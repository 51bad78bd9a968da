"""Sketches of texts: the words that carry content, two bytes each, in the order they first come; and what is new."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from processors.loops.wording import FIGURE, WORD, packed_word

READ_CAP = 2_048
"""Characters of a text that are read: those of more words than are sketched."""
SKETCH_CAP = 64
"""Words of a text that are sketched."""
WORD_BYTES = 2


def sketch(text: str) -> bytes:
    """Sketch a text: its distinct words of content and its figures."""
    found: dict[bytes, None] = {}
    for each in dict.fromkeys(WORD.findall(text.casefold(), 0, READ_CAP)):
        word = packed_word(each)
        if word[0] & 3:
            found[word] = None
            if len(found) >= SKETCH_CAP:
                break
    return b"".join(found)


def split(sketched: bytes) -> list[bytes]:
    """Take a sketch apart."""
    return [sketched[at : at + WORD_BYTES] for at in range(0, len(sketched), WORD_BYTES)]


def news(sketched: bytes, known: AbstractSet[bytes]) -> tuple[float, int]:
    """Say which share of a text's words is not known, and how many figures are not; (0, 0) for no words."""
    words = split(sketched)
    new = [word for word in words if word not in known]
    return (len(new) / len(words) if words else 0.0), sum(word[0] & FIGURE != 0 for word in new)
