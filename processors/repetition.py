"""Finds repetition: an agent that says, asks or plans the same thing in other words, with nothing new coming of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from processors.detector import At, Detector, DetectorConfig, Embedder
from processors.loops.actions import fingerprint
from processors.meaning.repetition_acts import ACTIVE, Act, Sort, act_of
from processors.meaning.repetition_report import report
from processors.meaning.repetition_rows import Place, Row, begin_row
from schemas.detection import CLOSED, Finding
from schemas.step import Step

ROWS_CAP = 12
"""Rows of a run, one of calls and one of sayings an agent; beyond it the one silent for longest is let go."""


class RepetitionConfig(DetectorConfig):
    """Settings of `repetition`. Its thresholds stand in `repetition_rows.py`, with what they were measured on."""


class RepetitionState(msgspec.Struct, array_like=True):
    """What is remembered of a run: the row that each agent's calls and sayings are in now, and who said what last."""

    began_ns: int = 0
    trace: str = ""
    acts: int = 0
    models_seen: bool = False
    speaker: str = ""
    said: Act | None = None
    rows: dict[str, Row] = {}


class RepetitionDetector(Detector[RepetitionConfig, Act, RepetitionState]):
    """Compares what an agent asks or says with what it asked or said before, by meaning, and what came of it."""

    name = "repetition"
    version = "2"
    Config: ClassVar = RepetitionConfig
    Item: ClassVar = Act
    State: ClassVar = RepetitionState
    kinds = ACTIVE
    by_agent = True
    reads_vectors = True

    def project(self, step: Step) -> Act | None:
        """Reduce a step to what was asked or said and what came of it."""
        return act_of(step, self.embedder) if step.kind in ACTIVE else None

    def begin(self) -> RepetitionState:
        """Begin with nothing."""
        return RepetitionState()

    def observe(self, state: RepetitionState, at: At, item: Act) -> Sequence[Finding]:
        """Compare the next act with those before it of the same agent."""
        if not state.began_ns:
            state.began_ns, state.trace = at.start_ns, at.span.trace_id
        if item.sort == Sort.TURN and state.models_seen:
            return ()
        state.models_seen = state.models_seen or item.sort == Sort.SAYING
        place = _place(state, at)
        state.acts += 1
        return [report(row, state.trace) for row in _take(state, at.agent, item, place, self.embedder)]

    def finish(self, state: RepetitionState) -> Sequence[Finding]:
        """Tell the last figures of what still goes on."""
        return [report(row, state.trace) for row in state.rows.values() if row.is_open]


def _take(state: RepetitionState, agent: str, act: Act, place: Place, embedder: Embedder) -> list[Row]:
    is_call = act.sort == Sort.CALL
    key = f"{int(is_call)}{agent}"
    if not is_call:
        act = _as_heard(state, agent, act)
    closed = _interrupt(state, agent) if is_call and not act.nothing else []
    return closed + _take_in_row(state, key, act, place, embedder)


def _as_heard(state: RepetitionState, agent: str, act: Act) -> Act:
    """Take what another agent said last as what led to a saying, where the saying's own step does not tell."""
    other, state.said = state.said if state.speaker != agent else None, act
    state.speaker = agent
    if act.heard or other is None:
        return act
    heard = fingerprint(other.preview)
    return msgspec.structs.replace(act, outcome=other.asked, brought=other.meaning, heard=heard, nothing=False)


def _interrupt(state: RepetitionState, agent: str) -> list[Row]:
    """Note that an agent did something that something came of: what it says from now on may be about that."""
    row = state.rows.get(f"0{agent}")
    if row is None or (row.is_open and not row.stray()):
        return []
    del state.rows[f"0{agent}"]
    return [row] if row.crossing is not None else []


def _take_in_row(state: RepetitionState, key: str, act: Act, place: Place, embedder: Embedder) -> list[Row]:
    row = state.rows.pop(key, None)
    if row is not None and row.follows(act, embedder):
        told = row.add(act, place)
        state.rows[key] = row
        return [row] if told else []
    ended = row is not None and row.stray()
    if row is not None and row.is_open:
        state.rows[key] = row  # one stray act does not end it
        return []
    state.rows[key] = begin_row(act, place)
    closed = [row] if ended and row is not None else []
    return closed + _keep_few(state)


def _keep_few(state: RepetitionState) -> list[Row]:
    if len(state.rows) <= ROWS_CAP:
        return []
    row = state.rows.pop(next((key for key, row in state.rows.items() if not row.is_open), next(iter(state.rows))))
    if not row.is_open:
        return []
    row.status = CLOSED
    return [row]


def _place(state: RepetitionState, at: At) -> Place:
    trace = "" if at.span.trace_id == state.trace else at.span.trace_id
    return Place(state.acts, at.span.span_id, trace, (at.start_ns - state.began_ns) // 1_000_000, at.start_ns)
