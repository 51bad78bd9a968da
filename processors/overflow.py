"""Finds contexts that near, reach or pass the window of their model (`overflow`)."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from math import ceil
from typing import Annotated, ClassVar, Self

import msgspec
from pydantic import Field, model_validator

from processors.context_refusals import refused_for_length
from processors.detector import At, Detector, DetectorConfig
from processors.spending.step_cost import believable_usage
from schemas.detection import CLOSED, OPEN, Finding, Fix
from schemas.keys import join_key
from schemas.step import LLM, SpanRef, Step

MAX_STREAMS = 32

Share = Annotated[float, Field(gt=0, lt=1)]


class OverflowConfig(DetectorConfig):
    """Settings of `overflow`; shares of the model's window."""

    notice_share: Share = 0.65
    warn_share: Share = 0.85
    high_share: Share = 0.95

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.notice_share < self.warn_share < self.high_share:
            raise ValueError("notice_share, warn_share and high_share must grow in this order")
        return self


class Fill(IntEnum):
    """How full a context is."""

    ROOMY = 0
    SOON_FULL = 1
    WARNED = 2
    HIGH = 3
    REFUSED = 4


SEVERITY = {
    Fill.SOON_FULL: ("low", 32, 0.66),
    Fill.WARNED: ("medium", 58, 0.9),
    Fill.HIGH: ("high", 76, 0.95),
    Fill.REFUSED: ("critical", 90, 0.97),
}
"""Severity, score and confidence of each level."""


class OverflowItem(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One model call: its context in tokens (0: not reported), the room it asks for its answer, if it was refused."""

    model: str
    window: int
    used: int
    reserve: int
    refused: bool


class ContextStream(msgspec.Struct, array_like=True):
    """The context of one agent with one model, call by call."""

    calls: int = 0
    used: int = 0
    peak: int = 0
    growth: float = 0.0
    level: int = Fill.ROOMY
    first: SpanRef | None = None
    crossing: SpanRef | None = None
    crossed_ns: int = 0
    at_crossing: int = 0


class OverflowState(msgspec.Struct, array_like=True):
    """All that is remembered of a run."""

    streams: dict[str, ContextStream]


class OverflowDetector(Detector[OverflowConfig, OverflowItem, OverflowState]):
    """Compares each call's context with the window of its model."""

    name = "overflow"
    version = "1"
    Config: ClassVar = OverflowConfig
    Item: ClassVar = OverflowItem
    State: ClassVar = OverflowState
    kinds = (LLM,)
    by_agent = True

    def project(self, step: Step) -> OverflowItem | None:
        """Keep model calls that say how long they were, or that were refused for it."""
        if step.kind != LLM:
            return None  # an agent's own usage is the sum of many calls
        refused = (step.failed or bool(step.finish)) and refused_for_length(step.error_type, step.error, step.finish)
        usage = believable_usage(step)
        window = self.models.context_window(step.model, step.provider) or 0
        if not refused and (usage is None or not window):
            return None
        return OverflowItem(step.model, window, usage.input if usage else 0, max(0, step.max_tokens), refused)

    def begin(self) -> OverflowState:
        """No calls yet."""
        return OverflowState({})

    def observe(self, state: OverflowState, at: At, item: OverflowItem) -> Sequence[Finding]:
        """Follow the context; report each level the first time it is reached, and the way back."""
        stream = _stream(state, f"{at.agent}|{item.model}")
        _follow(stream, item)
        level = self._level(stream, item)
        if stream.level and level == Fill.ROOMY:
            closed = _finding(stream, item, CLOSED)
            stream.level, stream.first, stream.crossing = Fill.ROOMY, None, None
            return [closed]
        if level <= stream.level:
            return ()
        stream.first = stream.first or at.span
        stream.level, stream.crossing, stream.crossed_ns = int(level), at.span, at.end_ns
        stream.at_crossing = stream.used
        return [_finding(stream, item, OPEN)]

    def _level(self, stream: ContextStream, item: OverflowItem) -> Fill:
        if item.refused:
            return Fill.REFUSED
        share, config = stream.used / item.window, self.config
        if share >= config.high_share:
            return Fill.HIGH
        if share >= config.warn_share:
            return Fill.WARNED
        if share < config.notice_share:
            return Fill.ROOMY
        # Between notice and warning a context that fills gradually is no news, one that begins so large is.
        soon = stream.calls == 1 or stream.used + item.reserve > item.window
        return Fill.SOON_FULL if soon else Fill(min(stream.level, Fill.SOON_FULL))


def _stream(state: OverflowState, key: str) -> ContextStream:
    stream = state.streams.get(key)
    if stream is None:
        if len(state.streams) >= MAX_STREAMS:
            del state.streams[next(iter(state.streams))]
        stream = state.streams[key] = ContextStream()
    return stream


def _follow(stream: ContextStream, item: OverflowItem) -> None:
    """Take a call's context in; growth is a moving mean of what a call adds, the first call's all of it."""
    if item.used:
        added = item.used - stream.used
        stream.calls += 1
        stream.growth = max(0.0, added if stream.calls <= 2 else 0.7 * stream.growth + 0.3 * added)
        stream.used = item.used
        stream.peak = max(stream.peak, item.used)


def _calls_left(stream: ContextStream, window: int) -> int:
    """Project how many calls like the last ones still fit; a context that does not grow lasts."""
    if stream.growth < 1:
        return window
    return max(0, ceil((window - stream.used) / stream.growth))


def _finding(stream: ContextStream, item: OverflowItem, status: str) -> Finding:
    level = Fill(stream.level)
    severity, score, confidence = SEVERITY[level]
    first, crossing = stream.first or SpanRef("", ""), stream.crossing or SpanRef("", "")
    return Finding(
        type="overflow",
        fingerprint=join_key("context", item.model),
        first=first,
        spans=(first,) if first == crossing else (first, crossing),
        status=status,
        tier=1,
        confidence=confidence,
        severity=severity,
        score=score,
        title=_title(level, stream, item),
        explanation=_words(level, stream, item),
        evidence={
            "model": item.model,
            "window_tokens": item.window or None,
            "used_tokens": stream.at_crossing,
            "share": round(stream.at_crossing / item.window, 4) if item.window else None,
            "peak_tokens": stream.peak,
            "growth_tokens_per_call": round(stream.growth),
            "calls_until_full": _calls_left(stream, item.window) if item.window and stream.growth >= 1 else None,
            "calls": stream.calls,
            "reserved_for_output_tokens": item.reserve,
            "level": level.name.lower(),
        },
        event_time_ns=stream.crossed_ns,
        fix=_fix(level, item),
        stage=level,
    )


def _title(level: Fill, stream: ContextStream, item: OverflowItem) -> str:
    model = item.model or "the model"
    if level == Fill.REFUSED:
        return f"{model} refused {{agent}}'s call: the context is longer than its window"
    return f"{{agent}}'s context fills {stream.at_crossing / item.window:.0%} of {model}'s window"


def _words(level: Fill, stream: ContextStream, item: OverflowItem) -> str:
    if level == Fill.REFUSED:
        room = f" The window takes {item.window:,} tokens." if item.window else ""
        return f"The provider refused the call because of its length.{room} Every further call will be refused too."
    words = f"The last call took {stream.at_crossing:,} of {item.window:,} tokens."
    if stream.growth >= 1:
        left = _calls_left(stream, item.window)
        words += f" A call adds about {stream.growth:,.0f}; at that pace the window is full in {left} calls."
    if item.reserve and stream.at_crossing + item.reserve > item.window:
        words += f" The {item.reserve:,} tokens reserved for the answer no longer fit."
    return words


def _fix(level: Fill, item: OverflowItem) -> Fix:
    parameters = {"model": item.model, "max_context_share": 0.65}
    if level >= Fill.HIGH:
        return Fix("context_pruning", "Drop or summarise the oldest messages before the next call.", parameters)
    return Fix("window_management", "Begin to summarise older messages, or use a larger window.", parameters)
