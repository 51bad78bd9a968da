"""Figures that a message tells, by the words around them, and which of them another message tells otherwise."""

from __future__ import annotations

import re
from collections.abc import Mapping

FIGURES_CAP = 24
"""Figures of a message that are compared."""
_TOKEN = re.compile(r"\d[\d.,:/-]{0,30}\d|\d|[^\W\d_]+")


def figures_of(text: str) -> dict[str, str]:
    """Give a message's figures by the word before and the word after; those between the same words are left out."""
    tokens = ["", *_TOKEN.findall(text.casefold()), ""]
    found: dict[str, str] = {}
    twice: set[str] = set()
    for before, token, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if not token[:1].isdigit() or not before or before[0].isdigit():
            continue
        key = f"{before[:24]} {after[:24]}"
        if found.setdefault(key, token) != token:
            twice.add(key)
        if len(found) >= FIGURES_CAP:
            break
    return {key: figure for key, figure in found.items() if key not in twice}


def changed(told: Mapping[str, str], relayed: Mapping[str, str]) -> tuple[str, str] | None:
    """Give the first figure that stands between the same words and is another; None where all are as they were.

    A figure that the other message tells elsewhere has moved, not changed.
    """
    for key, was in told.items():
        now = relayed.get(key, was)
        if _value(now) != _value(was) and now not in told.values() and was not in relayed.values():
            return was, now
    return None


def _value(figure: str) -> str:
    return figure.replace(",", "")
