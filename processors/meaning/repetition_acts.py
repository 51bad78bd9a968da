"""Acts: what the repetition detector remembers of a step: what was asked or said, and what came of it."""

from __future__ import annotations

from typing import Final

import msgspec

from processors.detector import Embedder
from processors.loops.actions import fingerprint
from processors.loops.arguments import read_arguments
from processors.loops.masking import masked
from processors.loops.wording import TEXT_CAP, brings_nothing, pack
from processors.meaning.word_sketch import WORD_BYTES, sketch
from schemas.step import AGENT, HANDOFF, LLM, MEMORY, RETRIEVAL, TOOL, Step

PREVIEW_CAP = 120
"""Characters of what was asked or said that are kept to show it."""
NAME_CAP = 64
SHORT = 240
"""Characters up to which an outcome's vector tells it from others."""
TOLD_CAP = 512
"""Characters of what an agent was told that are looked at, from their end: what it was told last."""
READ_CAP = 2_048
"""Characters of what was asked or said that are read."""
_ACTING = (TOOL, RETRIEVAL, MEMORY)
ACTIVE = (*_ACTING, LLM, HANDOFF, AGENT)


class Meaning(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a text says: a short one as it stands, for its vector is seldom asked for; a longer one's vector."""

    text: str = ""
    made: bytes = b""

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.text or self.made)

    def vector(self, embedder: Embedder) -> bytes:
        """Give the vector; empty where the text has no words."""
        return self.made or embedder.embed(self.text)


class Sort:
    """Where an act belongs."""

    CALL: Final = 0
    SAYING: Final = 1
    TURN: Final = 2
    """An agent's turn: the saying where no model's output is seen."""


class Act(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One act. `meaning` is what was asked or said, `words` its wording where it is short.

    `asked` and `outcome` sketch its words and those of what came of it (a call), led to it (a saying) or was left
    behind (a turn: the state). `heard` fingerprints the latter, masked, 0 where there was nothing; `brought` is
    it itself where it is short.
    `nothing`: it failed, or what came of it says that there is nothing. `captured`: what came of it is known.
    """

    sort: int
    name: str
    meaning: Meaning
    words: bytes
    asked: bytes
    outcome: bytes
    brought: Meaning
    heard: int
    nothing: bool
    captured: bool
    preview: str

    def is_long(self, words: int) -> bool:
        """Say whether what was asked or said has so many words of content."""
        return len(self.asked) >= WORD_BYTES * words


def act_of(step: Step, embedder: Embedder) -> Act | None:
    """Reduce a step to an act; None for steps that are none or whose content was not captured."""
    if step.kind in _ACTING and not step.transfer_to:
        return _call(step, embedder)
    if step.kind == AGENT:
        return _turn(step, embedder)
    return _saying(step, embedder)


def _call(step: Step, embedder: Embedder) -> Act | None:
    """Make the act of a call; one that asks for nothing in words still says by its outcome that something was done."""
    text = read_arguments(step.args or step.input_text).sayings
    outcome = step.result or step.error or step.error_type
    nothing = step.failed or brings_nothing(outcome)
    words = pack(text)
    if not words:
        text = ""
    return _act(
        Sort.CALL, step.tool or step.name, text, words, outcome, embedder, nothing=nothing, captured=bool(outcome)
    )


def _saying(step: Step, embedder: Embedder) -> Act | None:
    text = step.output_text or (step.args or step.input_text if step.kind != LLM else "")
    if not text or step.calls:
        return None
    told = step.answers[-1].result if step.answers else step.input_text[-TOLD_CAP:]
    return _act(Sort.SAYING, step.transfer_to, text, pack(text), told, embedder, nothing=not told and not step.answers)


def _turn(step: Step, embedder: Embedder) -> Act | None:
    if not step.output_text:
        return None
    left = f"{step.input_text[-TOLD_CAP:]} {_state(step.state)}".strip()
    return _act(Sort.TURN, step.transfer_to, step.output_text, pack(step.output_text), left, embedder, nothing=not left)


def _state(state: str) -> str:
    """Write a state without what differs from turn to turn anyway; one that holds nothing else says nothing."""
    read = read_arguments(state)
    return read.kept if read.is_whole else state


def _act(
    sort: int,
    name: str,
    text: str,
    words: bytes,
    outcome: str,
    embedder: Embedder,
    *,
    nothing: bool,
    captured: bool = True,
) -> Act:
    plain = masked(outcome) if outcome else ""
    text = text[:READ_CAP]
    return Act(
        sort,
        name[:NAME_CAP],
        Meaning(text) if len(text) <= TEXT_CAP else Meaning(made=embedder.embed(text)),
        words,
        sketch(masked(text)) if text else b"",
        sketch(plain),
        Meaning(plain) if len(plain) <= SHORT else Meaning(),
        fingerprint(plain) if plain else 0,
        nothing,
        captured,
        text[:PREVIEW_CAP],
    )
