"""What a key of a call's arguments is about, by its name."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from processors.loops.vocabulary import CALLING_WORDS, NAMING_WORDS, PLACING_WORDS, TRACKING_WORDS

UNKNOWN: Final = 0
CALLING: Final = 1
"""How and when the call was made: volatile whatever the value."""
TRACKING: Final = 2
"""Volatile where the value is drawn."""
NAMING: Final = 3
"""What the call is about: never volatile."""

_NAME_CAP = 64
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@lru_cache(maxsize=4_096)
def role_of(key: str) -> int:
    """Say what a key is about."""
    words = _CAMEL.sub("_", key[:_NAME_CAP]).casefold().replace("-", "_").replace(".", "_").split("_")
    if not PLACING_WORDS.isdisjoint(words):
        return NAMING
    if not CALLING_WORDS.isdisjoint(words):
        return CALLING
    if not TRACKING_WORDS.isdisjoint(words):
        return TRACKING
    return NAMING if words[-1] in NAMING_WORDS else UNKNOWN
