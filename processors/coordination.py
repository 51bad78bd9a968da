"""Finds failures of coordination between agents: ignored, circling, waiting for each other, doing the same twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from processors.detector import At, Detector, DetectorConfig
from processors.meaning.coordination_messages import Message, Sent, message_of, sent
from processors.meaning.coordination_patterns import Pattern, found, unanswered
from schemas.canonical import content_hash
from schemas.detection import OPEN, Finding
from schemas.step import AGENT, HANDOFF, LLM, TOOL, Step

RECENT, TOLD_CAP = 24, 64
"""Messages of a run that are looked at, and patterns of it that are remembered as told."""


class CoordinationConfig(DetectorConfig):
    """Settings of `coordination`. Its thresholds stand in `coordination_patterns.py`, with their figures."""


class CoordinationState(msgspec.Struct, array_like=True):
    """The last messages of a run, and which patterns were told of it."""

    messages: int = 0
    recent: list[Sent] = []
    told: list[str] = []


class CoordinationDetector(Detector[CoordinationConfig, Message, CoordinationState]):
    """Looks at who tells whom what: messages nobody takes note of, circles, deadlocks, work given twice."""

    name = "coordination"
    version = "1"
    Config: ClassVar = CoordinationConfig
    Item: ClassVar = Message
    State: ClassVar = CoordinationState
    kinds = (AGENT, HANDOFF, TOOL, LLM)
    by_agent = True
    reads_vectors = True

    def project(self, step: Step) -> Message | None:
        """Reduce a step to the message that it passes on; None where it names no receiver."""
        return message_of(step, self.embedder) if step.kind in self.kinds else None

    def begin(self) -> CoordinationState:
        """Begin with nothing."""
        return CoordinationState()

    def observe(self, state: CoordinationState, at: At, item: Message) -> Sequence[Finding]:
        """Take the next message."""
        state.recent = [*state.recent, sent(item, at, state.messages)][-RECENT:]
        state.messages += 1
        return [_report(pattern) for pattern in found(state.recent) if _is_new(state, pattern)]

    def finish(self, state: CoordinationState) -> Sequence[Finding]:
        """Tell of the messages that nobody has answered by now."""
        return [_report(pattern) for pattern in unanswered(state.recent) if _is_new(state, pattern)]


def _is_new(state: CoordinationState, pattern: Pattern) -> bool:
    """Say whether a pattern between these agents was not told yet, and remember it."""
    key = _fingerprint(pattern)
    if key in state.told:
        return False
    state.told = [*state.told, key][-TOLD_CAP:]
    return True


def _fingerprint(pattern: Pattern) -> str:
    agents = sorted({name for one in pattern.messages for name in (one.sender, one.receiver)})
    return content_hash("\n".join([pattern.kind, *agents]).encode())


def _report(pattern: Pattern) -> Finding:
    first, newest = pattern.messages[0], pattern.messages[-1]
    what = pattern.what.replace("{", "(").replace("}", ")")
    said = "; ".join(f"{one.sender} to {one.receiver}: «{one.message.preview}»" for one in pattern.messages[-4:])
    score = round(100 * pattern.confidence) - 12
    return Finding(
        type="coordination",
        fingerprint=_fingerprint(pattern),
        first=first.span,
        spans=tuple(one.span for one in pattern.messages) if len(pattern.messages) > 1 else (first.span,),
        status=OPEN,
        tier=3,
        confidence=pattern.confidence,
        severity="medium" if score >= 50 else "low",
        score=score,
        title=what,
        explanation=f"{what}. {said}".replace("{", "(").replace("}", ")"),
        evidence={
            "pattern": pattern.kind,
            "agents": sorted({name for one in pattern.messages for name in (one.sender, one.receiver)}),
            "messages": len(pattern.messages),
        },
        event_time_ns=newest.start_ns,
        stage=1,
    )
