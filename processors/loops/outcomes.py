"""One outcome whatever is tried: a tool that answers to ever other calls what it has just answered.

What was asked is not compared, only what came back; so it has to tell something: a fault, or much else. An
acknowledgement (`sent`, `ok`) is the same for six letters to six people, and `no results` for six names.
"""

from __future__ import annotations

import re

import msgspec

from processors.loops.cycles import Seen

FAULTS, ANSWERS = 4, 5
"""Calls in a row with one fault, or one long answer, that are too many: more than of equal calls, for what is tried is
another each time. On the development corpora 2 failed runs are told by this, none of 511 that passed."""
TELLING = 80
"""Characters from which on an answer tells more than that something was done."""
_ENDS = 240
"""Characters at either end of an outcome that are read."""
_FAULT = re.compile(r"^\W{0,8}(?:error|fatal|failed|failure|traceback)\b|(?:error|exception) ?:")

_SIGNS = ("error", "exception", "fail", "fatal", "traceback")
"""One of these is in every fault: most results are told from one without the pattern."""
_NAMED = re.compile(r"'[^'\n]{0,120}'|\"[^\"\n]{0,120}\"|`[^`\n]{0,120}`|\S*[/\\]\S*")
"""What a fault is about this time: quoted, or a path."""
_WORD = re.compile(r"[^\W\d_]{2,}")


class Same(msgspec.Struct, array_like=True):
    """What a tool has answered to the last calls (a fingerprint), how often in a row, and from which call on."""

    first: Seen
    outcome: int
    count: int = 1

    def goes_on_with(self, seen: Seen, outcome: int) -> bool:
        """Say whether another call of the same tool brought the same."""
        return self.outcome == outcome and self.first.name == seen.name


def fault_of(outcome: str) -> str:
    """Give the words of the fault that a result reads as, whatever the span says; empty for one that reads as none.

    It is looked for in the last lines, where tracebacks have it, and at the beginning. What it names is left out: the
    same file is missing under six paths.
    """
    ends = (outcome[-_ENDS:], outcome[:_ENDS]) if len(outcome) > _ENDS else (outcome,)
    return next(filter(None, map(_fault_in, ends)), "")


def _fault_in(end: str) -> str:
    text = end.lower()
    found = list(_FAULT.finditer(text)) if any(sign in text for sign in _SIGNS) else []
    if not found:
        return ""
    line = text[text.rfind("\n", 0, found[-1].start()) + 1 :].partition("\n")[0]
    return " ".join(_WORD.findall(_NAMED.sub(" ", line)))


def tells(outcome: str) -> bool:
    """Say whether a result tells more than that something was done."""
    return len(outcome) >= TELLING
