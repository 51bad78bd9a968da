"""Messages between agents: what the coordination detector remembers of a step that passes one on."""

from __future__ import annotations

from typing import Final

import msgspec

from processors.detector import At, Embedder
from processors.loops.actions import fingerprint
from processors.meaning.vectors import likeness
from processors.meaning.word_sketch import sketch
from schemas.step import SpanRef, Step

NAME_CAP, PREVIEW_CAP = 64, 120
WAITING = "I am waiting for you. Still waiting, blocked until you send it."
HANDING_ON = "I delegate this, pass it on, hand it over to another agent."
WAITS, HANDS_ON = 0.68, 0.5
"""Cosine to these sentences from which on a message says so. Of 110 hand-written messages those that wait measure .70
to .72, requests and reports up to .62 but for some that ask whether it is done (.71, .75); hand-ons .51 to .82."""


class Answered:
    """Whether the sender's side says that a message was taken note of."""

    UNKNOWN: Final = 0
    YES: Final = 1
    NO: Final = 2


class Message(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message: to whom, its vector, its words, the whole text's fingerprint; whether it waits or only hands on."""

    sender: str
    receiver: str
    meaning: bytes
    words: bytes
    text: int
    waits: bool
    hands_on: bool
    answered: int
    preview: str


class Sent(msgspec.Struct, frozen=True, array_like=True):
    """A message with who sent it and where in the run it stands."""

    index: int
    sender: str
    message: Message
    span: SpanRef
    start_ns: int

    @property
    def receiver(self) -> str:
        """Name who it was sent to."""
        return self.message.receiver


def message_of(step: Step, embedder: Embedder) -> Message | None:
    """Reduce a step to the message it passes on; None where it names no receiver or its text was not captured."""
    text = step.output_text or step.args or step.input_text
    if not step.transfer_to or not text:
        return None
    meaning = embedder.embed(text)
    answered = Answered.UNKNOWN if step.acknowledged is None else (Answered.YES if step.acknowledged else Answered.NO)
    return Message(
        step.transfer_from[:NAME_CAP],
        step.transfer_to[:NAME_CAP],
        meaning,
        sketch(text),
        fingerprint(text),
        likeness(meaning, embedder.embed(WAITING)) >= WAITS,
        likeness(meaning, embedder.embed(HANDING_ON)) >= HANDS_ON,
        answered,
        text[:PREVIEW_CAP],
    )


def sent(message: Message, at: At, index: int) -> Sent:
    """Say where a message stands; its sender is who the step names, else whose step it is."""
    return Sent(index, message.sender or at.agent, message, at.span, at.start_ns)
