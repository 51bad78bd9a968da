"""What a model answered, read strictly: an answer that breaks the form, or quotes what is not there, does not count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from processors.judging.exhibit import Exhibit
from processors.judging.prompts import TOOL

YES, NO, UNCLEAR = "yes", "no", "unclear"
SHORTEST_QUOTE = 4
"""Characters; less than that stands everywhere."""
MOST_QUOTES = 8
REASON_CAP, QUOTE_CAP = 500, 300


class VoidAnswerError(ValueError):
    """An answer that does not count. `kind` is short and countable."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"the model's answer does not count: {kind}")
        self.kind = kind


class Quote(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A passage and the piece it stands in."""

    id: str
    quote: str


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tool's input as it has to be."""

    answer: Literal["yes", "no", "unclear"]
    confidence: float
    evidence: list[Quote]
    reason: str


class Opinion(msgspec.Struct, frozen=True, array_like=True):
    """A model's answer as it counts: `failure` is the probability (0-1) that the finding is right.

    `quotes` pairs labels of the exhibit with passages, so that it holds for every run that shows the same.
    """

    model: str
    answer: str
    failure: float
    reason: str
    quotes: tuple[tuple[str, str], ...]


def opinion_of(model: str, stop_reason: str | None, content: Sequence[Any], exhibit: Exhibit) -> Opinion:
    """Read the blocks of a reply (as JSON values); raises VoidAnswerError."""
    if stop_reason == "max_tokens":
        raise VoidAnswerError("cut_off")
    calls = [block for block in content if isinstance(block, dict) and block.get("type") == "tool_use"]
    if len(calls) != 1 or calls[0].get("name") != TOOL:
        raise VoidAnswerError("no_verdict" if not calls else "other_calls")
    try:
        answer = msgspec.convert(calls[0].get("input"), Answer)
    except msgspec.ValidationError as error:
        raise VoidAnswerError("malformed") from error
    if not 0.0 <= answer.confidence <= 1.0 or len(answer.evidence) > MOST_QUOTES:
        raise VoidAnswerError("malformed")
    quotes = _checked(answer, exhibit)
    return Opinion(model, answer.answer, _failure(answer), _line(answer.reason, REASON_CAP), quotes)


def _failure(answer: Answer) -> float:
    if answer.answer == UNCLEAR:
        return 0.5
    sure = max(0.5, answer.confidence)
    return sure if answer.answer == NO else 1.0 - sure


def _checked(answer: Answer, exhibit: Exhibit) -> tuple[tuple[str, str], ...]:
    """Hold every quote against the piece it names; a decided answer needs one."""
    pieces = {one.label: _words(one.text) for one in exhibit.shown}
    if answer.answer != UNCLEAR and not answer.evidence:
        raise VoidAnswerError("no_evidence")
    for one in answer.evidence:
        if one.id not in pieces:
            raise VoidAnswerError("unknown_span")
        if len(_words(one.quote)) < SHORTEST_QUOTE or _words(one.quote) not in pieces[one.id]:
            raise VoidAnswerError("false_quote")
    return tuple((one.id, _line(one.quote, QUOTE_CAP)) for one in answer.evidence)


def _words(text: str) -> str:
    """Take white space as it comes: models copy words, not line ends."""
    return " ".join(text.split())


def _line(text: str, cap: int) -> str:
    """Keep a text of a model to one printable line."""
    return "".join(char for char in _words(text) if char.isprintable())[:cap]
