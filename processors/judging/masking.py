"""Personal data and secrets leave a text before it is shown to a model: each becomes a numbered mark.

The same value gets the same mark within one exhibit, so that what repeats can still be seen to repeat.
Patterns run on RE2, whose time is linear in the text, whatever stands in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import re2


class Kind(NamedTuple):
    """What is masked: its mark, how it looks, and what else has to hold. A group, where there is one, is masked."""

    mark: str
    pattern: str
    holds: Callable[[str], bool] = lambda _: True


def _luhn(text: str) -> bool:
    """Say whether digits are those of a payment card."""
    digits = [int(char) for char in text if char.isdigit()]
    if not 13 <= len(digits) <= 19:
        return False
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _iban(text: str) -> bool:
    """Say whether a text passes an IBAN's check digits."""
    compact = text.replace(" ", "")
    moved = compact[4:] + compact[:4]
    return len(compact) >= 15 and int("".join(str(int(char, 36)) for char in moved)) % 97 == 1


def _phone(text: str) -> bool:
    return 9 <= sum(char.isdigit() for char in text) <= 15


KINDS = (
    Kind("SECRET", r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.)*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)"),
    Kind("SECRET", r"\b(?:sk|pk|rk)[-_][A-Za-z0-9_\-]{16,}"),
    Kind("SECRET", r"\b(?:AKIA|ASIA|AGPA|AROA|AIDA)[A-Z0-9]{16}\b"),
    Kind("SECRET", r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_\-]{16,})"),
    Kind("SECRET", r"\b(?:xox[abeoprs]-[A-Za-z0-9\-]{10,}|AIza[A-Za-z0-9_\-]{30,}|ya29\.[A-Za-z0-9_\-]{20,})"),
    Kind("SECRET", r"\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*"),
    Kind("SECRET", r"(?i)\b(?:bearer|basic)\s+([A-Za-z0-9._~+/\-]{16,}=*)"),
    Kind("SECRET", r"[a-z][a-z0-9+.\-]{1,20}://[^\s/:@]{0,100}:([^\s/@]{1,200})@"),
    Kind(
        "SECRET",
        r"""(?i)(?:password|passwd|pwd|secret|api[_-]?key|access[_-]?key|auth[_-]?token|access[_-]?token|"""
        r"""refresh[_-]?token|client[_-]?secret|private[_-]?key)["'\\]{0,4}\s{0,3}(?:=|:)\s{0,3}["'\\]{0,4}"""
        r"""([^\s"'\\,;&}]{4,})""",
    ),
    Kind("EMAIL", r"[A-Za-z0-9._%+\-]+@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)*\.[A-Za-z]{2,24}\b"),
    Kind("IBAN", r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", _iban),
    Kind("CARD", r"\b\d(?:[ \-]?\d){12,18}\b", _luhn),
    Kind("SSN", r"\b\d{3}-\d{2}-\d{4}\b"),
    Kind("PHONE", r"(?:\+|\b00)\d{1,3}(?:[ .\-/]?\(?\d{1,5}\)?){2,6}\b", _phone),
    Kind("PHONE", r"\(\d{3}\) ?\d{3}[ .\-]\d{4}\b|\b\d{3}[.\-]\d{3}[.\-]\d{4}\b"),
)
"""In the order they are looked for: a secret may look like something else as well."""

_COMPILED = tuple((kind, re2.compile(kind.pattern)) for kind in KINDS)


class Masking:
    """The marks of one exhibit."""

    def __init__(self) -> None:
        self._marks: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def __call__(self, text: str) -> str:
        """Mask a text."""
        for kind, pattern in _COMPILED:
            text = pattern.sub(lambda found, kind=kind: self._masked(kind, found), text)
        return text

    def _masked(self, kind: Kind, found: Any) -> str:
        whole = str(found.group(0))
        group = 1 if found.re.groups else 0
        value = str(found.group(group) or "")
        if not value or not kind.holds(value):
            return whole
        begin = found.start(group) - found.start(0)
        return f"{whole[:begin]}{self._mark(kind.mark, value)}{whole[begin + len(value) :]}"

    def _mark(self, name: str, value: str) -> str:
        if value not in self._marks:
            self._counts[name] = self._counts.get(name, 0) + 1
            self._marks[value] = f"[{name}_{self._counts[name]}]"
        return self._marks[value]
