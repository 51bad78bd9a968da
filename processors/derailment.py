"""Finds derailment: a run that went away from its task, or ends with plans that nobody asked for.

If asked for, also one that never was about its task.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec
import xxhash

from processors.detector import At, Detector, DetectorConfig
from processors.meaning.announced_work import announced, unasked
from processors.meaning.content_words import content_words
from processors.meaning.derailment_report import report_left, report_never, report_plans
from processors.meaning.task_course import PLAIN, Course, departure_of, extended
from schemas.detection import Finding
from schemas.step import AGENT, LLM, MEMORY, RETRIEVAL, TOOL, WORKFLOW, SpanRef, Step

TASK_WORDS, TOLD_WORDS, RUN_WORDS = 40, 64, 160
"""Words of content that are looked at: of the task, of one step, and of the run for whether it is about the task."""
LEAST_TASK, LEAST_TOLD = 3, 8
"""Words of content a task and a run must have; with fewer it stays silent."""
UNSPOKEN, ELSEWHERE = 0.6, 0.36
"""How near a run comes to the words of its task, and its words to those of the task, below which it is about something
else. Both below: 9 of 13 derailments that were written by hand, 2 of 17 runs on their task, none of 511 passed runs of
real agents; but 180 of 600 chats of one question, most of them for a piece of writing."""
READ_CAP = 1_024
"""Characters of a text that are read for its words."""
_ASKED, _DOING = (AGENT, WORKFLOW, LLM), (TOOL, RETRIEVAL, MEMORY)
_TURNS = (AGENT, WORKFLOW)


class DerailmentConfig(DetectorConfig):
    """Settings of `derailment`.

    `one_answer`: also runs that never spoke of their task, as those of a single answer; chats for texts give false
    alarms.
    """

    one_answer: bool = False


class Spoken(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Words of content of a step: of what it was asked, and of what it said or did; and whether it spans others.

    `plans`: of an answer that calls no tool, what it announces beyond what it was asked, where it mostly announces.
    """

    asked: str
    told: str
    is_turn: bool
    plans: str = ""


class DerailmentState(msgspec.Struct, array_like=True):
    """The task of a run and how its steps stand to it.

    `plans` are what its last answer announced beyond what it was asked, `plans_span` who did.
    Only with `one_answer`: how near the run came to each of the task's words, and its own words to those of the task.
    """

    task: str = ""
    task_span: SpanRef | None = None
    models_seen: bool = False
    course: list[Course] = []
    last_ns: int = 0
    nearest: list[float] = []
    told: bytes = b""
    elsewhere: float = 0.0
    words: int = 0
    plans: str = ""
    plans_span: SpanRef | None = None


class DerailmentDetector(Detector[DerailmentConfig, Spoken, DerailmentState]):
    """Compares what a run says and does with the first thing it was asked; tells when the run has ended."""

    name = "derailment"
    version = "4"
    Config: ClassVar = DerailmentConfig
    Item: ClassVar = Spoken
    State: ClassVar = DerailmentState
    kinds = (*_ASKED, *_DOING)
    reads_vectors = True

    def project(self, step: Step) -> Spoken | None:
        """Reduce a step to its words of content; None where it has none."""
        if step.kind not in self.kinds:
            return None
        asked = _words(step.input_text, TASK_WORDS) if step.kind in _ASKED else ""
        told = _words(f"{step.output_text} {step.tool} {step.args}", TOLD_WORDS)
        return Spoken(asked, told, step.kind in _TURNS, _plans(step, asked)) if asked or told else None

    def begin(self) -> DerailmentState:
        """Begin with nothing."""
        return DerailmentState()

    def observe(self, state: DerailmentState, at: At, item: Spoken) -> Sequence[Finding]:
        """Take the next step: the first that was asked something has the task, what is said from then on counts."""
        if state.task_span is None:
            if not item.asked:
                return ()
            state.task, state.task_span = item.asked, at.span
            state.nearest = [0.0] * len(self.embedder.nearest(item.asked, item.asked))
        if item.told and len(state.nearest) >= LEAST_TASK and _counts(state, item):
            state.plans, state.plans_span = item.plans, at.span
            self._take(state, at, item.told)
        return ()

    def finish(self, state: DerailmentState) -> Sequence[Finding]:
        """Say whether the run that has ended went away from its task."""
        if state.task_span is None or not state.course:
            return ()
        left = departure_of(state.course)
        if left is not None:
            return [report_left(state.task, state.task_span, state.course, left, state.last_ns)]
        plans = unasked(state.plans.split(), frozenset(state.task.split()))
        if plans and state.plans_span is not None:
            return [report_plans(state.task, (state.task_span, state.plans_span), plans, state.last_ns)]
        return self._never(state, state.task_span) if self.config.one_answer else ()

    def _never(self, state: DerailmentState, asked: SpanRef) -> Sequence[Finding]:
        if state.words < LEAST_TOLD or _is_spoken_of(state) or state.elsewhere >= ELSEWHERE * state.words:
            return ()
        spoken = sum(state.nearest) / len(state.nearest)
        sure = 0.4 + min(0.2, UNSPOKEN - spoken) + (0.05 if len(state.course) > 1 else 0.0)
        return [report_never(state.task, asked, state.course, spoken, sure, state.last_ns)]

    def _take(self, state: DerailmentState, at: At, told: str) -> None:
        words = len(state.nearest)
        found = self.embedder.nearest(f"{state.task} {PLAIN}", told)
        near, plain = found[:words], found[words:]
        step = Course(at.span, round(sum(near) / words - sum(plain) / len(plain), 3))
        state.course = extended(state.course, step)
        state.last_ns = at.start_ns
        if self.config.one_answer and not _is_spoken_of(state):
            state.nearest = [max(pair) for pair in zip(state.nearest, near, strict=True)]
            self._add_words(state, told)

    def _add_words(self, state: DerailmentState, told: str) -> None:
        """Add the run's first words to how near its words come to the task's."""
        known = {state.told[at : at + 2] for at in range(0, len(state.told), 2)}
        keys = {word: xxhash.xxh32_intdigest(word.encode()).to_bytes(4, "little")[:2] for word in told.split()}
        fresh = [word for word, key in keys.items() if key not in known][: RUN_WORDS - state.words]
        for at in range(0, len(fresh), TASK_WORDS):
            near = self.embedder.nearest(" ".join(fresh[at : at + TASK_WORDS]), state.task)
            state.elsewhere = round(state.elsewhere + sum(near), 3)
            state.words += len(near)
        state.told += b"".join(keys[word] for word in fresh)


def _counts(state: DerailmentState, item: Spoken) -> bool:
    """Say whether a step is one of its own: what an agent's turn ends with is the word of a model, where one is seen.

    A turn comes before what is said in it, and so would its end.
    """
    if item.is_turn:
        return not state.models_seen
    if not state.models_seen:
        state.models_seen, state.course = True, []
    return True


def _is_spoken_of(state: DerailmentState) -> bool:
    """Say whether the run has spoken of its task by now: nothing that follows takes that back."""
    return sum(state.nearest) >= UNSPOKEN * len(state.nearest)


def _plans(step: Step, asked: str) -> str:
    """Give what an answer announces beyond what it was asked; a step that calls tools has not come to its answer."""
    if step.kind not in _ASKED or step.calls or not step.output_text:
        return ""
    return " ".join(unasked(announced(step.output_text), frozenset(asked.split())))


def _words(text: str, most: int) -> str:
    return " ".join(content_words(text[:READ_CAP], most))
