"""Wording of short texts, packed: whether two say much the same in other words, or one is a form that is filled in."""

from __future__ import annotations

import re
from functools import lru_cache

import xxhash

from processors.loops.vocabulary import EMPTY_RESULTS, JOINING_WORDS, NOTHING_WORDS

WORDS_CAP = 20
"""Words of a text that are kept."""
TEXT_CAP = 320
"""Characters up to which a text is short enough to be compared by its words."""
STEM = 5
"""Letters of a word that count: endings do not."""
CONTENT_WORD = 3
"""Letters from which on a word is about something."""
SHARED_WORDS = 2
CONTENT, FIGURE = 1, 2

_CODE = re.compile(r"[{}<>=$|&;\\_\[\]#*`/]| -")
"""What stands in commands and code rather than in what somebody asks or says."""
_WORD = re.compile(r"[^\W_]+")
_APART = {code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)}
_BARREN_CAP = 160


def words_of(text: str) -> list[str]:
    """Give the words of a text, case folded, in order."""
    return text.translate(_APART).split() if text.isascii() else _WORD.findall(text.casefold())


def pack(text: str) -> bytes:
    """Pack the words of a short text in order, two bytes each: a fingerprint and whether it is a figure, or content."""
    if len(text) > TEXT_CAP or _CODE.search(text):
        return b""
    words = words_of(text)
    if not 2 <= len(words) <= WORDS_CAP * 2:
        return b""
    return b"".join(map(packed_word, words[:WORDS_CAP]))


@lru_cache(maxsize=32_768)
def packed_word(word: str) -> bytes:
    """Pack one word (lower case)."""
    content = (len(word) >= CONTENT_WORD or not word.isascii()) and word not in JOINING_WORDS
    figure = not word.isalpha()
    stem = word if figure else word[:STEM]
    marks = figure * FIGURE | content * CONTENT
    return (xxhash.xxh32_intdigest(stem.encode()) & 0xFFFC | marks).to_bytes(2, "little")


def brings_nothing(result: str) -> bool:
    """Say whether a result tells that there is nothing: empty, or a few words one of which says so, without figures."""
    if len(result) > _BARREN_CAP:
        return False
    text = result.casefold().strip()
    if text in EMPTY_RESULTS:
        return True
    words = words_of(text)
    return not any(word.isdigit() and word.strip("0") for word in words) and any(
        word in NOTHING_WORDS or word == "0" for word in words
    )


def content_words(packed: bytes) -> frozenset[bytes]:
    """Unpack the words that carry content."""
    return frozenset(word for word in _words(packed) if word[0] & CONTENT)


def _figures(packed: bytes) -> frozenset[bytes]:
    return frozenset(word for word in _words(packed) if word[0] & FIGURE)


def _words(packed: bytes) -> list[bytes]:
    return [packed[at : at + 2] for at in range(0, len(packed), 2)]


def related(one: bytes, known: bytes, needed: int = SHARED_WORDS) -> bool:
    """Say whether a text speaks of what others (their words, joined) spoke of; new figures are something new."""
    words = content_words(one)
    shared = len(words & content_words(known))
    return shared >= needed and 4 * shared >= len(words) and _figures(one) <= _figures(known)


def is_same_form(one: bytes, other: bytes) -> bool:
    """Say whether two texts are one form with a slot filled differently: alike at both ends, other words between."""
    first, second = _words(one), _words(other)
    shorter, longer = sorted((len(first), len(second)))
    ahead = _alike(first, second)
    behind = min(_alike(first[::-1], second[::-1]), shorter - ahead)
    return longer - ahead - behind <= 2 or 2 * (ahead + behind) > longer


def _alike(first: list[bytes], second: list[bytes]) -> int:
    count = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        count += 1
    return count
