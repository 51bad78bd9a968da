"""Cuts a long text into passages: whole paragraphs and sentences as far as they fit, nothing left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

PASSAGE_PIECES = 128
"""Word pieces of a passage, about 90 words: as much as one vector tells apart (the table's parent read 128 to 256)."""
SHORT = 400
"""Characters up to which a text is one passage, for which no sentences are looked for, unless its words are tiny."""
PASSAGES_CAP = 16
"""Passages of a text; a longer text has longer ones."""

_SENTENCE = re.compile(r"[^.!?。！？\n]*[.!?。！？\n]+\s*|[^.!?。！？\n]+")  # noqa: RUF001  # full-width on purpose
_PARAGRAPH_END = re.compile(r"\n\s*\n\s*$")

Numbers = list[int]


def passages(text: str, numbers: Callable[[str], Numbers]) -> list[Numbers]:
    """Cut a text into the piece numbers of its passages; `numbers` gives those of a sentence."""
    if len(text) <= SHORT:
        whole = numbers(text)
        if len(whole) <= PASSAGE_PIECES:
            return [whole] if whole else []
    sentences = [(sentence, numbers(sentence)) for sentence in _SENTENCE.findall(text)]
    count = sum(len(pieces) for _, pieces in sentences)
    return list(_packed(sentences, max(PASSAGE_PIECES, 2 * count // PASSAGES_CAP + 1)))


def _packed(sentences: Iterable[tuple[str, Numbers]], budget: int) -> Iterator[Numbers]:
    """Fill each passage with sentences; a paragraph's end closes one that is half full already."""
    passage: Numbers = []
    for sentence, pieces in sentences:
        for part in (pieces,) if len(pieces) <= budget else _parts(pieces, budget):
            if passage and len(passage) + len(part) > budget:
                yield passage
                passage = []
            passage += part
        if 2 * len(passage) >= budget and _PARAGRAPH_END.search(sentence):
            yield passage
            passage = []
    if passage:
        yield passage


def _parts(pieces: Numbers, budget: int) -> list[Numbers]:
    """Cut a sentence that is longer than a passage."""
    return [pieces[at : at + budget] for at in range(0, len(pieces), budget)]
