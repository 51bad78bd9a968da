"""Finds tools that fail, by cause (`tool_error`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from processors import error_causes as causes
from processors.detector import At, Detector, DetectorConfig
from schemas.detection import CLOSED, OPEN, Finding, Fix
from schemas.keys import join_key
from schemas.step import MEMORY, RETRIEVAL, TOOL, SpanRef, Step

MAX_EPISODES = 32
SAMPLE_CHARACTERS = 200
STAGES = (1, 3, 10, 30, 100)
"""Failures in a row at which an episode is told again."""
TOOLS = (TOOL, RETRIEVAL, MEMORY)


class ToolErrorConfig(DetectorConfig):
    """Settings of `tool_error`."""


class ToolErrorItem(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One tool call: whether and why it failed."""

    tool: str
    cause: str = ""
    sample: str = ""


class Failing(msgspec.Struct, array_like=True):
    """A tool that has failed for one cause since it last succeeded."""

    tool: str
    cause: str
    sample: str
    first: SpanRef
    crossed_ns: int
    failures: int = 1
    stage: int = 0


class ToolErrorState(msgspec.Struct, array_like=True):
    """The tools that fail now, by tool and cause, and how many calls there were of any."""

    failing: dict[str, Failing]
    calls: int = 0
    failures: int = 0


class ToolErrorDetector(Detector[ToolErrorConfig, ToolErrorItem, ToolErrorState]):
    """Reports a tool's first failure for a cause, then its repetitions, then that it works again."""

    name = "tool_error"
    version = "1"
    Config: ClassVar = ToolErrorConfig
    Item: ClassVar = ToolErrorItem
    State: ClassVar = ToolErrorState
    kinds = TOOLS

    def project(self, step: Step) -> ToolErrorItem | None:
        """Keep tool calls; model calls fail in other ways and are not tools."""
        if step.kind not in TOOLS:
            return None
        tool = step.tool or step.name
        if not step.failed:
            return ToolErrorItem(tool)
        cause = causes.cause_of(step.error_type, step.error)
        if cause == causes.CONTROL_FLOW:
            return None
        return ToolErrorItem(tool, cause, (step.error or step.error_type)[:SAMPLE_CHARACTERS])

    def begin(self) -> ToolErrorState:
        """No tool has failed."""
        return ToolErrorState({})

    def observe(self, state: ToolErrorState, at: At, item: ToolErrorItem) -> Sequence[Finding]:
        """Open, continue or close the tool's episodes."""
        state.calls += 1
        if not item.cause:
            return _recovered(state, item.tool)
        state.failures += 1
        return _failed(state, at, item)

    def finish(self, state: ToolErrorState) -> Sequence[Finding]:
        """Tell the final figures."""
        return [_finding(failing, OPEN, recovered=False) for failing in state.failing.values()]


def _failed(state: ToolErrorState, at: At, item: ToolErrorItem) -> Sequence[Finding]:
    key = f"{item.tool}|{item.cause}"
    failing = state.failing.get(key)
    if failing is None:
        forgotten = _make_room(state)
        failing = Failing(item.tool, item.cause, item.sample, at.span, at.end_ns)
        state.failing[key] = failing
        return [*forgotten, _finding(failing, OPEN, recovered=False)]
    failing.failures += 1
    if failing.failures not in STAGES:
        return ()
    failing.stage = STAGES.index(failing.failures)
    return [_finding(failing, OPEN, recovered=False)]


def _make_room(state: ToolErrorState) -> Sequence[Finding]:
    if len(state.failing) < MAX_EPISODES:
        return ()
    oldest = next(iter(state.failing))
    return [_finding(state.failing.pop(oldest), CLOSED, recovered=False)]


def _recovered(state: ToolErrorState, tool: str) -> Sequence[Finding]:
    keys = [key for key, failing in state.failing.items() if failing.tool == tool] if state.failing else ()
    return [_finding(state.failing.pop(key), CLOSED, recovered=True) for key in keys]


def _finding(failing: Failing, status: str, *, recovered: bool) -> Finding:
    times = "once" if failing.failures == 1 else f"{failing.failures} times"
    severity, score = _severity(failing)
    return Finding(
        type="tool_error",
        fingerprint=join_key(failing.tool, failing.cause),
        first=failing.first,
        spans=(failing.first,),
        status=status,
        tier=1,
        confidence=0.9 if failing.cause != causes.UNKNOWN else 0.85,
        severity=severity,
        score=score,
        title=f"{failing.tool or 'A tool'} failed {times} for {{agent}}: {failing.cause.replace('_', ' ')}",
        explanation=f"{_ADVICE[failing.cause]} It said: {failing.sample}",
        evidence={
            "tool": failing.tool,
            "cause": failing.cause,
            "failures": failing.failures,
            "transient": failing.cause in causes.TRANSIENT,
            "error": failing.sample,
            "recovered": recovered,
        },
        event_time_ns=failing.crossed_ns,
        fix=_fix(failing),
        stage=failing.stage,
    )


def _severity(failing: Failing) -> tuple[str, int]:
    if failing.failures >= STAGES[2]:
        return ("high", 70)
    return ("medium", 50) if failing.failures >= STAGES[1] else ("low", 30)


_ADVICE = {
    causes.TIMEOUT: "The tool did not answer in time. Look at what it calls, or give it a shorter task.",
    causes.RATE_LIMIT: "The tool's backend asks for fewer calls. Wait between calls.",
    causes.AUTH: "The tool's credentials were refused. No retry will help until they are replaced.",
    causes.PERMISSION: "The tool may not do what it was asked to. No retry will help.",
    causes.INVALID_ARGUMENTS: "The tool did not accept its arguments. Compare them with its schema.",
    causes.NOT_FOUND: "What the tool was asked for is not there. Check the name or id it was given.",
    causes.NETWORK: "The tool could not reach its backend.",
    causes.SERVER: "The tool's backend failed.",
    causes.UNKNOWN: "The tool reported an error.",
}


def _fix(failing: Failing) -> Fix | None:
    tool = {"tool": failing.tool}
    if failing.cause == causes.TIMEOUT:
        return Fix("execution_timeout", "Give up on the tool sooner.", tool)
    if failing.cause in (causes.RATE_LIMIT, causes.SERVER):
        return Fix("exponential_backoff", "Wait longer after each refused call.", {**tool, "base_seconds": 1})
    if failing.cause == causes.NETWORK:
        return Fix("circuit_breaker", "Stop calling the tool while it is down.", {**tool, "max_failures": 3})
    if failing.failures >= STAGES[1]:
        return Fix("retry_limit", "Stop repeating a call that cannot work.", {**tool, "max_retries": 2})
    return None
