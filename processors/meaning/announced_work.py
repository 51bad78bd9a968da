"""Work that an answer announces: what its author will, wants to or should do, where results are due.

English only: an intention shows in a pronoun and a modal verb, a closed class of words that no subject changes.
"""

from __future__ import annotations

import re
from typing import Final

from processors.meaning.content_words import content_words

READ_CAP: Final = 2_048
"""Characters of an answer that are read."""
WORDS_CAP: Final = 60
"""Words of content that are looked at of a sentence, and of all that is announced."""
MOSTLY: Final = 0.5
"""Share of an answer's words of content from which on it is mostly plans.
With what is new below: 11 of 13 derailments and 0 of 17 answers on their task, written by hand; the last word of 1 of
511 passed runs of real agents; 1 of 600 answers in chats. Half was chosen before counting. `We need to` and `we can`
are left out since answers explain by them: with them 7 of 600."""
NEW: Final = 0.6
"""Share of the announced words that nobody asked for, from which on the plans are others."""
LEAST_NEW: Final = 5
"""Words that nobody asked for which there must be."""

_SENTENCE = re.compile(r"[^.!?\n]*[.!?\n]+|[^.!?\n]+")
_BEGINNINGS = (
    *("let me", "let us", "let's", "i'll", "i'd", "i will", "i would", "i plan", "i intend", "i want", "i'm going"),
    *("i am going", "we'll", "we will", "we should", "you should", "you could", "you might", "you may want"),
    *("have you considered", "have you thought"),
)
_INTENTION = re.compile(rf"\b(?:{'|'.join(_BEGINNINGS)})\b")
_COURTESY = re.compile(r"\b(?:let me know|(?:i'd|i'll|i will|i would) be (?:happy|glad|here))\b")
_ADVISES = re.compile(r"\bhave you\b")
_QUOTED = re.compile(r"\"[^\"]{0,400}\"|“[^”]{0,400}”|```[^`]{0,2000}```")


def announced(answer: str) -> list[str]:
    """Give the words of content of what an answer announces, where that is most of it; none where it tells results."""
    text = answer[:READ_CAP].lower().replace("’", "'")  # noqa: RUF001  # as models type it
    if not any(beginning in text for beginning in _BEGINNINGS):  # cheaper than the pattern
        return []
    text = _QUOTED.sub(" ", text)
    plans: dict[str, None] = {}
    said = planned = 0
    for sentence in _SENTENCE.findall(text):
        words = content_words(sentence, WORDS_CAP)
        said += len(words)
        if _is_plan(sentence):
            planned += len(words)
            plans.update(dict.fromkeys(words))
    return list(plans)[:WORDS_CAP] if planned >= MOSTLY * said else []


def unasked(plans: list[str], asked: frozenset[str]) -> list[str]:
    """Give the announced words that nobody asked for, where they are so many that the plans are others."""
    new = [word for word in plans if word not in asked]
    return new if len(new) >= max(LEAST_NEW, NEW * len(plans)) else []


def _is_plan(sentence: str) -> bool:
    """Say whether a sentence announces work; a question for leave or for more is none, nor is an offer of help."""
    if _INTENTION.search(sentence) is None or _COURTESY.search(sentence):
        return False
    return not sentence.rstrip().endswith("?") or _ADVISES.search(sentence) is not None
