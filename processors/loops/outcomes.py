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
"""One of these is in every fault: looking for them first costs a tenth of the pattern."""


class Same(msgspec.Struct, array_like=True):
    """What a tool has answered to the last calls, how often in a row, and from which call on."""

    first: Seen
    count: int = 1

    def goes_on_with(self, seen: Seen) -> bool:
        """Say whether another call of the same tool brought the same."""
        return self.first.heard == seen.heard and self.first.name == seen.name


def reads_as_fault(outcome: str) -> bool:
    """Say whether a result that is no error by its span tells of one: at its beginning, or in its last lines."""
    ends = (outcome[:_ENDS], outcome[-_ENDS:]) if len(outcome) > _ENDS else (outcome,)
    return any(_reads_as_fault(end.lower()) for end in ends)


def _reads_as_fault(text: str) -> bool:
    return any(sign in text for sign in _SIGNS) and _FAULT.search(text) is not None


def tells(outcome: str) -> bool:
    """Say whether a result tells more than that something was done."""
    return len(outcome) >= TELLING
