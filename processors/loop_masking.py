"""What of a call, a result or a message may differ without making a difference: masked before it is compared."""

from __future__ import annotations

import re
from functools import lru_cache

import xxhash

from processors.loop_keys import CALLING, role_of

HEAD, TAIL = 600, 200
"""Characters of a text that are masked: its beginning and its end; what lies between is compared as it is."""
RANDOM_LENGTH = 8
"""Characters from which on a token can look random."""
_TOKEN_LENGTH = 64
_MIXED_LENGTH = 10
"""Characters from which on letters and figures in one word are drawn."""
_FEW_VOWELS, _FEW_VOWELS_BESIDE_FIGURES = 6, 4
"""A written word has more than one vowel in so many letters."""

_HEX = "[0-9a-f]"
_UUID = re.compile(rf"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}")
_BARE = (
    rf"(?P<uuid>\b{_UUID.pattern}\b)"
    r"|(?P<took>\b\d{1,9}(?:[.,]\d{1,6})? ?(?:ns|us|µs|ms|msec|s|sec|secs|seconds|milliseconds)\b)"
    r"|(?P<token>\b[0-9a-z]{8,64}\b)"
)
_LABELLED = (
    r"(?P<time>\b\d{4}-\d\d-\d\d[t ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:z|[+-]\d\d:?\d\d)?)"
    r"|(?P<clock>\b\d\d:\d\d:\d\d(?:[.,]\d{1,9})?\b)"
    r"|(?P<named>\b(?P<label>[a-z_]{1,32})(?P<is>\"? ?[=:] ?\"?)(?P<value>[0-9a-z_-]{4,64})\b)"
)
_WITHOUT_LABELS = re.compile(_BARE)
_WITH_LABELS = re.compile(f"{_LABELLED}|{_BARE}")
_SUSPECT = re.compile(r"[0-9=]|[bcdfghjklmnpqrstvwxz]{5}")
"""What a text must hold for anything in it to be masked; looked for first, as most texts hold none of it."""
_WHOLE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d.{0,24}|1\d{9}(?:\d{3}|\d{6}|\d{9})?(?:\.\d{1,9})?")
_CONSONANTS = re.compile(r"[bcdfghjklmnpqrstvwxz]{5}")
_TURNS = re.compile(r"[a-z][0-9]|[0-9][a-z]")


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
    """Mask; remembered, as a tool's result is told once more to the model that asked for it."""
    folded = fold(text)
    if not _SUSPECT.search(folded):
        return folded
    if "=" in folded or ":" in folded:
        return _WITH_LABELS.sub(_mask_labelled, folded)
    return _WITHOUT_LABELS.sub(_mask, folded)


def _mask(match: re.Match[str]) -> str:
    if match.lastgroup != "token":
        return f"<{match.lastgroup}>"
    token = match.group()
    return "<token>" if looks_random(token) else token


def _mask_labelled(match: re.Match[str]) -> str:
    if match["value"] is None:
        return _mask(match)
    label, value = match["label"], match["value"]
    if role_of(label) == CALLING or looks_random(value):
        return f"{label}{match['is']}<token>"
    return match.group()


def is_drawn(value: str) -> bool:
    """Say whether a value as a whole is a UUID or a token that looks random."""
    text = value.strip().lower()
    if not RANDOM_LENGTH <= len(text) <= _TOKEN_LENGTH:
        return False
    if len(text) >= _MIXED_LENGTH and text.isalnum() and not text.isdigit() and not text.isalpha():
        return True
    return looks_random(text) or _UUID.fullmatch(text) is not None


def is_moment(text: str) -> bool:
    """Say whether a text is nothing but a point in time."""
    return _WHOLE_TIME.fullmatch(text.strip()) is not None
