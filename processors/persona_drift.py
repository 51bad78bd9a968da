"""Finds persona drift: what an agent says has nothing to do with the role that its system instructions give it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

import msgspec

from processors.detector import At, Detector, DetectorConfig
from processors.loops.actions import fingerprint
from schemas.canonical import content_hash
from schemas.detection import CLOSED, OPEN, Finding
from schemas.step import LLM, SpanRef, Step

ASSISTING = (
    "You are a helpful AI assistant, agent, chatbot or language model. You assist users, answering questions and "
    "doing tasks by using the given tools, following these instructions."
)
"""What any assistant is told: a role that says no more than this binds to no field, and nothing drifts from it."""
ROLE_WORDS, SAID_WORDS = 3, 8
"""Words of content a role and an output must have; with fewer it stays silent."""
DRIFTED = 0.3
"""Coverage of the role by outputs below which they are not about it. On 30 hand-written cases: 12 of 14 drifts below,
all 16 faithful ones above."""
LEAST_SURE = 0.6
"""How sure it is of one output that could hardly be nearer: of 13 that were told 12 were right (95 % sure of 67 %)."""
BACK = 0.34
"""Coverage from which on the agent is back in its role."""
OUTPUTS = 5
"""Newest outputs of an agent that are averaged."""
AGENTS_CAP, PREVIEW_CAP = 16, 160
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n")


class PersonaDriftConfig(DetectorConfig):
    """Settings of `persona_drift`. Its thresholds stand in its file, with what they were measured on."""


class Said(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An output against its role: which role, how much of it the output covers (0 to 1), and both shortened."""

    role: int
    covered: float
    role_text: str
    said: str


class Watched(msgspec.Struct, array_like=True):
    """One agent in one role: the coverage of its newest outputs, and since when it has drifted."""

    role: int
    covered: list[float] = []
    outputs: int = 0
    told: int = 0
    first: SpanRef | None = None
    crossed_ns: int = 0
    spans: list[SpanRef] = []
    status: str = OPEN


class PersonaState(msgspec.Struct, array_like=True):
    """The agents of a run."""

    agents: dict[str, Watched] = {}


class PersonaDriftDetector(Detector[PersonaDriftConfig, Said, PersonaState]):
    """Compares what an agent says with the first sentence of its system instructions, if that names a field."""

    name = "persona_drift"
    version = "2"
    Config: ClassVar = PersonaDriftConfig
    Item: ClassVar = Said
    State: ClassVar = PersonaState
    kinds = (LLM,)
    by_agent = True
    reads_vectors = True

    def project(self, step: Step) -> Said | None:
        """Reduce a model call to how much of the role its output covers; None without either."""
        if step.kind != LLM or not step.system_prompt or not step.output_text or step.calls:
            return None
        role = role_of(step.system_prompt)
        covered, role_words, said_words = self.embedder.coverage(role, step.output_text, ASSISTING)
        if role_words < ROLE_WORDS or said_words < SAID_WORDS:
            return None
        return Said(fingerprint(role), covered, role[:PREVIEW_CAP], step.output_text[:PREVIEW_CAP])

    def begin(self) -> PersonaState:
        """Begin with nothing."""
        return PersonaState()

    def observe(self, state: PersonaState, at: At, item: Said) -> Sequence[Finding]:
        """Take the next output of an agent."""
        watched = state.agents.pop(at.agent, None)
        if watched is None or watched.role != item.role:
            watched = Watched(item.role)
        state.agents[at.agent] = watched
        if len(state.agents) > AGENTS_CAP:
            del state.agents[next(iter(state.agents))]
        changed = _take(watched, at, item)
        return [_report(watched, item)] if changed else ()


def role_of(instructions: str) -> str:
    """Give the sentence in which system instructions say what an agent is: the first."""
    return _SENTENCE_END.split(instructions.strip(), 1)[0]


def _take(watched: Watched, at: At, item: Said) -> bool:
    watched.covered = [*watched.covered, item.covered][-OUTPUTS:]
    mean = sum(watched.covered) / len(watched.covered)
    if watched.first is None:
        if mean >= DRIFTED:
            return False
        watched.first, watched.crossed_ns, watched.spans, watched.status = at.span, at.start_ns, [at.span], OPEN
        watched.outputs, watched.told = 1, 1
        return True
    watched.outputs += 1
    if mean >= BACK:
        watched.status = CLOSED
        return True
    return watched.outputs in (3, OUTPUTS, 4 * OUTPUTS) and bool(watched.told)


def _report(watched: Watched, item: Said) -> Finding:
    mean = sum(watched.covered) / len(watched.covered)
    first = watched.first or SpanRef("", "")
    outputs = watched.outputs
    stage = 1 + (outputs >= 3) + (outputs >= OUTPUTS)
    score = min(80, 44 + 6 * stage + round(60 * max(0.0, DRIFTED - mean)))
    if watched.status == CLOSED:
        watched.first = None
    return Finding(
        type="persona_drift",
        fingerprint=content_hash(f"{watched.role}".encode()),
        first=first,
        spans=(first,),
        status=watched.status,
        tier=3,
        confidence=round(min(0.79, LEAST_SURE + 0.05 * stage + max(0.0, DRIFTED - mean)), 4),
        severity="medium" if score >= 55 else "low",
        score=score,
        title="{agent} says what has nothing to do with its role",
        explanation=(
            f"Its system instructions begin: {_quoted(item.role_text)}. What it says covers {mean:.0%} of that "
            f"(below {DRIFTED:.0%} it is about something else), lately: {_quoted(item.said)}."
        ),
        evidence={"coverage": round(mean, 3), "outputs": outputs, "role": item.role_text, "said": item.said},
        event_time_ns=watched.crossed_ns,
        stage=stage,
    )


def _quoted(text: str) -> str:
    return "«" + text.replace("{", "(").replace("}", ")").replace("\n", " ") + "»"
