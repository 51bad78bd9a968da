"""What of a call, a result or a message may differ without making a difference: masked before it is compared."""

from __future__ import annotations

import re
from functools import lru_cache

import xxhash

from processors.loops.keys import CALLING, role_of
from processors.loops.vocabulary import CALLING_WORDS

HEAD, TAIL = 600, 200
"""Characters of a text that are masked: its beginning and its end; what lies between is compared as it is."""
RANDOM_LENGTH = 8
"""Characters from which on a token can look random."""
_TOKEN_LENGTH = 64
TOKENS_REMEMBERED = 8_192
"""Tokens of which it is remembered whether they look random; when they are that many, all are forgotten."""
_MIXED_LENGTH = 10
"""Characters from which on letters and figures in one word are drawn."""
_FEW_VOWELS, _FEW_VOWELS_BESIDE_FIGURES = 6, 4
"""A written word has more than one vowel in so many letters."""

_HEX = "[0-9a-f]"
_UUID = re.compile(rf"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}")
_CLOCK = re.compile(r"\d:\d\d")
_TIME = re.compile(
    r"\b\d{4}-\d\d-\d\d[t ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:z|[+-]\d\d:?\d\d)?"
    r"|\b\d\d:\d\d:\d\d(?:[.,]\d{1,9})?\b"
)
_UNIT = re.compile(r"\d ?(?:[nuµm]?s|msec|secs?|seconds|milliseconds)\b")
_TOOK = re.compile(r"\b\d{1,9}(?:[.,]\d{1,6})? ?(?:[nuµm]?s|msec|secs?|seconds|milliseconds)\b")
_LABELLED = re.compile(r"\b([a-z_]{1,32})(\"? ?[=:] ?\"?)([0-9a-z_-]{4,64})\b")
_TOKEN = re.compile(r"([0-9a-z]{8,64})")
_LABELS = tuple(word for word in sorted(CALLING_WORDS) if len(word) >= 4)
_LABEL_WORDS = frozenset(word.encode() for word in CALLING_WORDS)
_WHOLE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d.{0,24}|1\d{9}(?:\d{3}|\d{6}|\d{9})?(?:\.\d{1,9})?")
_DASHES = 4
_UNITS = frozenset((b"s", b"ns", b"us", b"ms", b"msec", b"sec", b"secs", b"seconds", b"milliseconds"))
_UNIT_BESIDE_FIGURE = re.compile(rb"0(?:[mun]?s|mil)")
_ALIKE_FIGURES = bytes.maketrans(b"123456789", b"000000000")
_APART = bytes(byte if chr(byte).isascii() and chr(byte).isalnum() else ord(" ") for byte in range(256))
_CONSONANTS = re.compile(r"[bcdfghjklmnpqrstvwxz]{5}")
_TURNS = re.compile(r"[a-z][0-9]|[0-9][a-z]")


@lru_cache(maxsize=8_192)
def looks_random(token: str) -> bool:
    """Say whether a token (lower case) looks drawn rather than written."""
    if len(token) < RANDOM_LENGTH or not (token.isalnum() and token.isascii()) or token.isdigit():
        return False
    if len(_TURNS.findall(token)) >= 2 or _CONSONANTS.search(token) is not None:
        return True
    vowels = sum(map(token.count, "aeiouy"))
    return vowels * (_FEW_VOWELS if token.isalpha() else _FEW_VOWELS_BESIDE_FIGURES) <= len(token)


def fold(text: str) -> str:
    """Take out what is only spelling: case and spacing."""
    return " ".join(text.casefold().split())


def masked(text: str) -> str:
    """Write a text without what is volatile in it: times, durations, UUIDs, random tokens, values of volatile names."""
    if len(text) <= HEAD + TAIL:
        return _masked(text)
    middle = xxhash.xxh64_hexdigest(text[HEAD:-TAIL].encode("utf-8", "replace"))
    return f"{_masked(text[:HEAD])}<{middle}>{_masked(text[-TAIL:])}"


@lru_cache(maxsize=512)
def _masked(text: str) -> str:
    """Mask; remembered, as a tool's result is told once more to the model that asked for it.

    Each kind is first looked for in the cheapest way: most texts hold none of them.
    """
    folded = fold(text)
    words = _words(folded)
    text = _without_times(folded, words)
    if text is not folded:
        words = _words(text)
    named = text
    if not _LABEL_WORDS.isdisjoint(words) and any(label in text for label in _LABELS):
        named = _LABELLED.sub(_mask_labelled, named)
    if text.count("-") >= _DASHES:
        named = _UUID.sub("<uuid>", named)
    if _may_be_random(words if named is text else _words(named)):
        parts = _TOKEN.split(named)  # what lies between tokens, and each of them in turn
        parts[1::2] = map(_MASKS.__getitem__, parts[1::2])
        return "".join(parts)
    return named


def _without_times(text: str, words: list[bytes]) -> str:
    figures = text.encode("utf-8", "replace").translate(_ALIKE_FIGURES)
    if ":" in text and (b"0:00" in figures or not text.isascii()) and _CLOCK.search(text):
        text = _TIME.sub("<time>", text)
    return _TOOK.sub("<took>", text) if _may_have_taken(figures, words) and _UNIT.search(text) else text


def _words(text: str) -> list[bytes]:
    """Cut a folded text at whatever is no letter of ASCII and no digit: three times as fast as looking for tokens."""
    return text.encode("utf-8", "replace").translate(_APART).split()


def _may_have_taken(figures: bytes, words: list[bytes]) -> bool:
    """Say whether a text, all its digits zeroes, may hold a duration; one with digits of other scripts always may."""
    if not (figures.isascii() and _UNITS.isdisjoint(words)):
        return True
    return _UNIT_BESIDE_FIGURE.search(figures) is not None


def _may_be_random(words: list[bytes]) -> bool:
    """Say whether a token that looks random may be among words; one that is too long for a token may hold one."""
    return any(map(_SUSPECTS.__getitem__, [word for word in words if len(word) >= RANDOM_LENGTH]))


def _mask_labelled(match: re.Match[str]) -> str:
    label, between, _ = match.groups()
    return f"{label}{between}<token>" if role_of(label) == CALLING else match.group()


class _Masks(dict[str, str]):
    """What stands for each token met so far: itself, unless it looks random."""

    def __missing__(self, token: str) -> str:
        if len(self) >= TOKENS_REMEMBERED:
            self.clear()
        mask = self[token] = "<token>" if looks_random(token) else token
        return mask


class _Suspects(dict[bytes, bool]):
    """Whether each long word met so far may hold a token that looks random."""

    def __missing__(self, word: bytes) -> bool:
        if len(word) > _TOKEN_LENGTH:
            return True
        if len(self) >= TOKENS_REMEMBERED:
            self.clear()
        suspect = self[word] = looks_random(word.decode())
        return suspect


_MASKS, _SUSPECTS = _Masks(), _Suspects()


def is_drawn(value: str) -> bool:
    """Say whether a value as a whole is a UUID or a token that looks random."""
    text = value.strip().lower()
    if not RANDOM_LENGTH <= len(text) <= _TOKEN_LENGTH:
        return False
    if len(text) >= _MIXED_LENGTH and text.isalnum() and not text.isdigit() and not text.isalpha():
        return True
    return looks_random(text) if text.isalnum() else _UUID.fullmatch(text) is not None


def is_moment(text: str) -> bool:
    """Say whether a text is nothing but a point in time."""
    return _WHOLE_TIME.fullmatch(text.strip()) is not None
