"""Finds failures of communication: a reply without what was asked for, figures that change in a relay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from processors.detector import At, Detector, DetectorConfig
from processors.loops.actions import fingerprint
from processors.meaning.figures_told import changed, figures_of
from processors.meaning.reply_needs import in_words, needs_of, unmet
from processors.meaning.word_sketch import news, sketch, split
from schemas.canonical import content_hash
from schemas.detection import OPEN, Finding
from schemas.step import AGENT, HANDOFF, LLM, TOOL, SpanRef, Step

RECENT, NAME_CAP, TEXT_CAP, PREVIEW_CAP = 16, 64, 4_096, 120
"""Messages of a run that are looked at, and characters that are read and shown."""
RELAYED = 0.34
"""Share of new words up to which a message relays another; what is put in one's own words is not compared."""
SURE = 0.7
"""How sure it is: what was asked and what came are plain to see, whether it mattered is not."""


class CommunicationConfig(DetectorConfig):
    """Settings of `communication`: none of its own."""


class Told(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message: from whom (empty: whose step it is), to whom where it is said, what it asks and what it says.

    `heard` and `text` fingerprint what its sender was told before it, where known, and itself. `needs` is what its
    reply needs; `unmet` what it lacks itself of what its sender was asked for; `figures` by the words around them.
    """

    sender: str
    receiver: str
    heard: int
    text: int
    needs: tuple[str, ...]
    unmet: tuple[str, ...]
    words: bytes
    figures: dict[str, str]
    preview: str


class Message(msgspec.Struct, frozen=True, array_like=True):
    """A message in its run."""

    sender: str
    told: Told
    span: SpanRef


class CommunicationState(msgspec.Struct, array_like=True):
    """The last messages of a run."""

    recent: list[Message] = []


class CommunicationDetector(Detector[CommunicationConfig, Told, CommunicationState]):
    """Compares what one agent tells another with what that one makes of it; silent where it is not known who hears."""

    name = "communication"
    version = "2"
    Config: ClassVar = CommunicationConfig
    Item: ClassVar = Told
    State: ClassVar = CommunicationState
    kinds = (AGENT, HANDOFF, TOOL, LLM)
    by_agent = True

    def project(self, step: Step) -> Told | None:
        """Reduce a step to the message it passes on, or to the turn that an agent ends with a text."""
        if step.kind not in self.kinds or not (step.transfer_to or step.kind == AGENT):
            return None
        text = step.output_text or (step.args or step.input_text if step.transfer_to else "")
        return _told(step, text[:TEXT_CAP]) if text else None

    def begin(self) -> CommunicationState:
        """Begin with nothing."""
        return CommunicationState()

    def observe(self, state: CommunicationState, at: At, item: Told) -> Sequence[Finding]:
        """Compare the next message with the one that its sender was told."""
        newest = Message(item.sender or at.agent, item, at.span)
        heard = next((one for one in reversed(state.recent) if _hears(newest, one)), None)
        answered = heard is not None and any(_hears(one, heard) for one in _after(state.recent, heard))
        state.recent = [*state.recent, newest][-RECENT:]
        return _compared(heard, newest, at) if heard is not None and not answered else ()


def _told(step: Step, text: str) -> Told:
    heard = step.input_text[:TEXT_CAP] if step.kind == AGENT and step.output_text else ""
    return Told(
        step.transfer_from[:NAME_CAP],
        step.transfer_to[:NAME_CAP],
        fingerprint(heard) if heard else 0,
        fingerprint(text),
        needs_of(text),
        unmet(needs_of(heard), text) if heard else (),
        sketch(text),
        figures_of(text),
        text[:PREVIEW_CAP],
    )


def _hears(newest: Message, earlier: Message) -> bool:
    """Say whether a message's sender was told an earlier one: that is its input word for word, or it was sent to it."""
    if newest.sender == earlier.sender or not (newest.sender and earlier.sender):
        return False
    return newest.told.heard == earlier.told.text or newest.sender == earlier.told.receiver


def _after(recent: Sequence[Message], heard: Message) -> Sequence[Message]:
    return recent[recent.index(heard) + 1 :]


def _compared(heard: Message, newest: Message, at: At) -> Sequence[Finding]:
    missing = [need for need in heard.told.needs if need in newest.told.unmet]
    if missing:
        what = f"{newest.sender} {in_words(missing[0])}"
        return [_report(missing[0].partition(" ")[0], what, heard, newest, at)]
    if not _is_relay(heard, newest):
        return ()
    was = changed(heard.told.figures, newest.told.figures)
    if not was:
        return ()
    what = f"{newest.sender} passed on {was[1]} where {heard.sender} had said {was[0]}"
    return [_report("relay", what, heard, newest, at)]


def _is_relay(heard: Message, newest: Message) -> bool:
    """Say whether a message goes on to somebody else in much the same words; what goes back may be an offer."""
    if newest.told.receiver in ("", heard.sender):
        return False
    return news(newest.told.words, frozenset(split(heard.told.words)))[0] <= RELAYED


def _report(kind: str, what: str, heard: Message, newest: Message, at: At) -> Finding:
    said = "; ".join(f"{one.sender}: «{one.told.preview}»" for one in (heard, newest))
    return Finding(
        type="communication",
        fingerprint=content_hash("\n".join((kind, heard.sender, newest.sender)).encode()),
        first=heard.span,
        spans=(heard.span, newest.span),
        status=OPEN,
        tier=1,
        confidence=SURE,
        severity="medium",
        score=round(100 * SURE) - 12,
        title=_plain(what),
        explanation=_plain(f"{what}. {said}"),
        evidence={"mismatch": kind, "agents": sorted((heard.sender, newest.sender))},
        event_time_ns=at.start_ns,
        stage=1,
    )


def _plain(text: str) -> str:
    return text.replace("{", "(").replace("}", ")")
