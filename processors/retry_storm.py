"""Finds calls repeated after failing, unchanged and without waiting longer (`retry_storm`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import msgspec
from pydantic import Field

from processors import error_causes as causes
from processors.detector import At, Detector, DetectorConfig
from schemas.detection import CLOSED, OPEN, Finding, Fix
from schemas.keys import join_key
from schemas.step import EMBEDDING, LLM, MEMORY, RETRIEVAL, TOOL, SpanRef, Step

SECOND_NS = 1_000_000_000
MAX_STREAKS = 32
KEPT_SPANS = 8
BACKOFF_GROWTH = 1.4
"""A wait so many times the one before is a back-off; jitter takes a doubling down to about 1.5."""
MODELS = (LLM, EMBEDDING)
TOOLS = (TOOL, RETRIEVAL, MEMORY)


class RetryStormConfig(DetectorConfig):
    """Settings of `retry_storm`. Failures are in a row, of the same call."""

    min_failures: Annotated[int, Field(ge=2)] = 4
    min_failures_without_arguments: Annotated[int, Field(ge=2)] = 6
    min_failures_with_backoff: Annotated[int, Field(ge=2)] = 10
    patient_wait_seconds: Annotated[float, Field(gt=0)] = 15.0


class RetryItem(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One attempt at something that can be tried again. `same` is what makes two attempts the same."""

    subject: str
    same: str
    is_model: bool
    known_arguments: bool
    cause: str = ""


class Streak(msgspec.Struct, array_like=True):
    """Failures in a row of the same call."""

    subject: str
    is_model: bool
    known_arguments: bool
    cause: str
    first: SpanRef
    last_end_ns: int
    progress: int
    failures: int = 1
    eager: int = 0
    wait_ns: int = 0
    total_wait_ns: int = 0
    spans: list[SpanRef] = []
    crossing: SpanRef | None = None
    crossed_ns: int = 0
    stage: int = -1


class RetryState(msgspec.Struct, array_like=True):
    """The streaks that go on now, and how many tool calls have succeeded so far."""

    streaks: dict[str, Streak]
    progress: int = 0


class RetryStormDetector(Detector[RetryStormConfig, RetryItem, RetryState]):
    """Counts failures of the same call in a row and how long was waited between them."""

    name = "retry_storm"
    version = "1"
    Config: ClassVar = RetryStormConfig
    Item: ClassVar = RetryItem
    State: ClassVar = RetryState
    kinds = (*MODELS, *TOOLS)
    by_agent = True

    def project(self, step: Step) -> RetryItem | None:
        """Keep calls of tools and models."""
        is_model = step.kind in MODELS
        if not is_model and step.kind not in TOOLS:
            return None
        cause = causes.cause_of(step.error_type, step.error) if step.failed else ""
        if cause == causes.CONTROL_FLOW:
            return None
        subject = (step.model or step.name) if is_model else (step.tool or step.name)
        same = "" if is_model else step.args_hash
        return RetryItem(subject, same, is_model, is_model or bool(step.args_hash), cause)

    def begin(self) -> RetryState:
        """Nothing has failed."""
        return RetryState({})

    def observe(self, state: RetryState, at: At, item: RetryItem) -> Sequence[Finding]:
        """Continue the call's streak, or end it."""
        key = f"{at.agent if item.is_model else ''}|{item.subject}|{item.same}"
        if not item.cause:
            state.progress += not item.is_model
            return _ended(state, key, recovered=True)
        streak = state.streaks.get(key)
        if streak is None:
            return _begin(state, key, at, item)
        if not item.is_model and state.progress != streak.progress:
            # Other work was done in between, so this attempt meets another situation: a test run again after an edit.
            return [*_ended(state, key, recovered=False), *_begin(state, key, at, item)]
        self._fail_again(streak, at, item)
        return self._judge(streak, at)

    def finish(self, state: RetryState) -> Sequence[Finding]:
        """Tell the final figures."""
        return [_finding(streak, OPEN, recovered=False) for streak in state.streaks.values() if streak.crossing]

    def _fail_again(self, streak: Streak, at: At, item: RetryItem) -> None:
        waited = max(0, at.start_ns - streak.last_end_ns)
        patient = waited >= self.config.patient_wait_seconds * SECOND_NS
        backed_off = streak.wait_ns > 0 and waited >= BACKOFF_GROWTH * streak.wait_ns
        first_wait = streak.failures == 1
        streak.eager += not (patient or backed_off or first_wait)
        streak.failures += 1
        streak.wait_ns = waited
        streak.total_wait_ns += waited
        streak.last_end_ns = max(streak.last_end_ns, at.end_ns)
        streak.cause = item.cause
        if streak.crossing is None and len(streak.spans) < KEPT_SPANS:
            streak.spans.append(at.span)

    def _judge(self, streak: Streak, at: At) -> Sequence[Finding]:
        config = self.config
        needed = config.min_failures if streak.known_arguments else config.min_failures_without_arguments
        eager = streak.failures >= needed and streak.eager >= needed - 2
        if not eager and streak.failures < config.min_failures_with_backoff:
            return ()
        if streak.crossing is None:
            streak.crossing, streak.crossed_ns = at.span, at.end_ns
        stage = (streak.failures // needed).bit_length()
        if stage <= streak.stage:
            return ()
        streak.stage = stage
        return [_finding(streak, OPEN, recovered=False)]


def _begin(state: RetryState, key: str, at: At, item: RetryItem) -> Sequence[Finding]:
    crowded = len(state.streaks) >= MAX_STREAKS
    forgotten = _ended(state, next(iter(state.streaks)), recovered=False) if crowded else ()
    state.streaks[key] = Streak(
        item.subject, item.is_model, item.known_arguments, item.cause, at.span, at.end_ns, state.progress
    )
    return forgotten


def _ended(state: RetryState, key: str, *, recovered: bool) -> Sequence[Finding]:
    streak = state.streaks.pop(key, None)
    return [_finding(streak, CLOSED, recovered=recovered)] if streak and streak.crossing else ()


def _finding(streak: Streak, status: str, *, recovered: bool) -> Finding:
    crossing = streak.crossing or streak.first
    between = [span for span in streak.spans if span not in (streak.first, crossing)]
    hopeless = streak.cause not in causes.TRANSIENT and streak.cause != causes.UNKNOWN
    severe = streak.failures >= 2 * KEPT_SPANS
    return Finding(
        type="retry_storm",
        fingerprint=join_key("model" if streak.is_model else "tool", streak.subject),
        first=streak.first,
        spans=(streak.first, *between, crossing),
        status=status,
        tier=1,
        confidence=0.92 if streak.known_arguments else 0.6,
        severity="high" if severe else "medium",
        score=75 if severe else 58,
        title=f"{{agent}} tried {streak.subject or 'a call'} {streak.failures} times in a row; every try failed",
        explanation=_words(streak, hopeless),
        evidence={
            "model" if streak.is_model else "tool": streak.subject,
            "cause": streak.cause,
            "failures": streak.failures,
            "eager_retries": streak.eager,
            "mean_wait_seconds": round(streak.total_wait_ns / SECOND_NS / max(1, streak.failures - 1), 3),
            "last_wait_seconds": round(streak.wait_ns / SECOND_NS, 3),
            "same_arguments": streak.known_arguments,
            "recovered": recovered,
        },
        event_time_ns=streak.crossed_ns,
        fix=_fix(streak, hopeless),
        stage=max(0, streak.stage),
    )


def _words(streak: Streak, hopeless: bool) -> str:
    cause = streak.cause.replace("_", " ")
    what = "with the same arguments" if not streak.is_model and streak.known_arguments else "again and again"
    mean = streak.total_wait_ns / SECOND_NS / max(1, streak.failures - 1)
    words = (
        f"{streak.subject or 'The call'} failed {streak.failures} times ({cause}), called {what}, {mean:.1f} s apart."
    )
    return words + (
        " The same call cannot succeed." if hopeless else " Waits do not grow, so it gets no time to recover."
    )


def _fix(streak: Streak, hopeless: bool) -> Fix:
    subject = {"model" if streak.is_model else "tool": streak.subject}
    if streak.cause == causes.RATE_LIMIT:
        return Fix("exponential_backoff", "Double the wait after each refusal.", {**subject, "base_seconds": 1})
    if hopeless:
        return Fix("retry_limit", "Stop repeating a call that cannot work.", {**subject, "max_retries": 2})
    return Fix("circuit_breaker", "Stop calling it while it is down.", {**subject, "max_failures": 3})
