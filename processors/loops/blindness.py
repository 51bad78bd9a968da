"""Repetition without captured content: names, sizes and the regular growth of model calls are all there is to go by."""

from __future__ import annotations

import msgspec

from processors.loops.cycles import Seen

TELLING_CALLS = 5
"""Calls of one tool in a row that make a loop likely when their content is unknown."""
_STEADY = 2
"""Model calls in a row that grew alike."""
_TOLERANCE = 2
"""Tokens by which two growths may differ: ids are not all as long."""


class Growth(msgspec.Struct, array_like=True):
    """How the input of model calls grows, in tokens; `steady` counts growths in a row that equal the one before."""

    calls: int = 0
    input_tokens: int = 0
    step: int = 0
    steady: int = 0

    def take(self, input_tokens: int) -> None:
        """Take the next model call in."""
        step = input_tokens - self.input_tokens
        alike = self.calls >= 2 and abs(step - self.step) <= _TOLERANCE
        self.steady = self.steady + 1 if alike else 0
        self.calls += 1
        self.input_tokens, self.step = input_tokens, step


class Blindness(msgspec.Struct, array_like=True):
    """Calls in a row of one tool whose content is unknown."""

    first: Seen
    count: int = 1

    def crossed(self, growth: Growth) -> bool:
        """Say whether this looks like a loop: often enough, and no model call between that grew otherwise."""
        return self.count >= TELLING_CALLS and (not growth.calls or growth.steady >= _STEADY)
