"""Finds loops: a run that does or says the same again and again, with nothing new coming of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from processors.detector import At, Detector, DetectorConfig
from processors.loops.actions import ACTIVE, NAME_CAP, Action, Mark, Sort, action_of, joined
from processors.loops.blindness import Growth
from processors.loops.cycles import Seen
from processors.loops.episodes import TALK, TOOL, Episode
from processors.loops.report import report
from processors.loops.rows import Moment, Row, begin_row
from schemas.detection import Finding
from schemas.step import Step

AGENTS_CAP = 8
"""Agents of a run whose calls are followed apart; beyond it the one silent for longest is let go."""


class LoopConfig(DetectorConfig):
    """Settings of `loop`. A loop counts from its third repetition on; that is the contract's, not a setting."""


class LoopState(msgspec.Struct, array_like=True):
    """What is remembered of a run.

    `calls` holds each agent's tool calls, `asks` the calls that models ask for as long as no tool span shows them,
    `pending` the last of these until its answer is seen, `talk` what models and agents say.
    """

    began_ns: int = 0
    trace: str = ""
    actions: int = 0
    tokens: int = 0
    calls: dict[str, Row] = {}
    asks: Row | None = None
    pending: Moment | None = None
    talk: Row | None = None
    tools_seen: bool = False
    models_seen: bool = False
    model_end_ms: int = 0
    growth: Growth | None = None


class LoopDetector(Detector[LoopConfig, Action, LoopState]):
    """Compares each action of a run with the eight before it, by fingerprint."""

    name = "loop"
    version = "2"
    Config: ClassVar = LoopConfig
    Item: ClassVar = Action
    State: ClassVar = LoopState
    kinds = ACTIVE
    by_agent = True

    def project(self, step: Step) -> Action | None:
        """Reduce a step to its fingerprints."""
        return action_of(step)

    def begin(self) -> LoopState:
        """Begin with nothing."""
        return LoopState()

    def observe(self, state: LoopState, at: At, item: Action) -> Sequence[Finding]:
        """Compare the next action with those before it."""
        if not state.began_ns:
            state.began_ns, state.trace = at.start_ns, at.span.trace_id
        changed = _TAKERS[item.sort](state, at, item)
        return [report(episode, state.trace) for episode in changed] if changed else ()

    def finish(self, state: LoopState) -> Sequence[Finding]:
        """Tell the last figures of what still goes on."""
        changed = _settle(state, 0)
        rows = [*state.calls.values(), *(row for row in (state.asks, state.talk) if row is not None)]
        changed += [row.episode for row in rows if row.episode is not None and row.episode not in changed]
        return [report(episode, state.trace) for episode in changed]


def _take_tool(state: LoopState, at: At, item: Action) -> list[Episode]:
    row = _row_of(state, at.agent)
    start_ms, _ = _times(state, at)
    if row.told_already(item.near, start_ms):
        return []
    changed = [] if state.tools_seen else _drop_asks(state)
    idle_ms = max(0, start_ms - max(row.end_ms, row.model_end_ms, state.model_end_ms))
    changed += row.take(_moment(state, at, item, idle_ms), state.growth or _NO_GROWTH)
    return changed + _interrupt_talk(state)


def _take_ask(state: LoopState, at: At, item: Action) -> list[Episode]:
    _hear_model(state, at, item)
    changed = _settle(state, item.answer, item.marks, item.fault)
    if not state.tools_seen:
        state.pending = _moment(state, at, item, 0)
    return changed + _interrupt_talk(state)


def _take_talk(state: LoopState, at: At, item: Action) -> list[Episode]:
    _hear_model(state, at, item)
    changed = _settle(state, item.answer, item.marks, item.fault)
    return changed + _say(state, at, item)


def _take_turn(state: LoopState, at: At, item: Action) -> list[Episode]:
    """Take an agent's turn; its models and tools say more, where they are seen."""
    return [] if state.models_seen or state.tools_seen else _say(state, at, item)


def _take_silence(state: LoopState, at: At, item: Action) -> list[Episode]:
    _hear_model(state, at, item)
    return _settle(state, item.answer, item.marks, item.fault)


_TAKERS = (_take_tool, _take_ask, _take_talk, _take_turn, _take_silence)
"""By `Sort`."""
_NO_GROWTH = Growth()


def _say(state: LoopState, at: At, item: Action) -> list[Episode]:
    if state.talk is None:
        state.talk = begin_row(TALK)
    start_ms, _ = _times(state, at)
    if state.talk.told_already(item.near, start_ms):
        return []
    return state.talk.take(_moment(state, at, item, 0), _NO_GROWTH)


def _settle(state: LoopState, answer: int, marks: int = 0, fault: int = 0) -> list[Episode]:
    """Give the call that a model asked for what came of it, and take it as an action."""
    pending, state.pending = state.pending, None
    if pending is None:
        return []
    if state.asks is None:
        state.asks = begin_row(TOOL)
    seen, action = pending.seen, pending.action
    if state.asks.told_already(joined(seen.near, answer), seen.start_ms):
        return []
    marks = marks if answer else Mark.NO_RESULT
    told = msgspec.structs.replace(seen, near=joined(seen.near, answer), heard=answer, marks=marks)
    done = msgspec.structs.replace(action, marks=marks, fault=fault)
    complete = Moment(told, done, pending.end_ms, pending.start_ns)
    return state.asks.take(complete, _NO_GROWTH)


def _drop_asks(state: LoopState) -> list[Episode]:
    """Follow tool spans from now on: they show what models ask for."""
    state.tools_seen = True
    asks, state.asks, state.pending = state.asks, None, None
    return asks.end() if asks is not None else []


def _interrupt_talk(state: LoopState) -> list[Episode]:
    """Note that between two sayings something was done."""
    if state.talk is None:
        return []
    state.talk.forget()
    return state.talk.cut()


def _hear_model(state: LoopState, at: At, item: Action) -> None:
    _, end_ms = _times(state, at)
    row = state.calls.get(at.agent)
    if row is not None:
        row.model_end_ms = max(row.model_end_ms, end_ms)
    else:
        state.model_end_ms = max(state.model_end_ms, end_ms)
    state.models_seen = state.models_seen or item.sort != Sort.SILENT
    state.tokens += item.input_tokens + item.output_tokens
    if item.input_tokens:
        state.growth = state.growth or Growth()
        state.growth.take(item.input_tokens)


def _row_of(state: LoopState, agent: str) -> Row:
    row = state.calls.pop(agent, None) or begin_row(TOOL)
    state.calls[agent] = row
    if len(state.calls) > AGENTS_CAP:
        del state.calls[_least_needed(state.calls)]
    return row


def _least_needed(rows: dict[str, Row]) -> str:
    return next((agent for agent, row in rows.items() if row.episode is None), next(iter(rows)))


def _times(state: LoopState, at: At) -> tuple[int, int]:
    """Give start and end in milliseconds since the run began."""
    return (at.start_ns - state.began_ns) // 1_000_000, (at.end_ns - state.began_ns) // 1_000_000


def _moment(state: LoopState, at: At, item: Action, idle_ms: int) -> Moment:
    start_ms, end_ms = _times(state, at)
    trace = "" if at.span.trace_id == state.trace else at.span.trace_id
    name = item.name or (at.agent[:NAME_CAP] if item.sort != Sort.TOOL else "")
    seen = Seen(
        state.actions,
        item.near,
        item.exact,
        item.heard,
        item.marks,
        idle_ms,
        start_ms,
        state.tokens,
        name,
        at.span.span_id,
        trace,
    )
    state.actions += 1
    return Moment(seen, item, end_ms, at.start_ns)
