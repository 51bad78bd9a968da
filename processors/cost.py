"""Finds runs that pass their budget (`cost`) or grow faster than they explain (`token_explosion`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import msgspec
from pydantic import Field

from processors.detector import At, Detector, DetectorConfig
from processors.growth_findings import growth_finding
from processors.spending.budgets import RUN, WARN_SHARE, Budgets, Level, Overspend, level_of, overspend_finding
from processors.spending.step_cost import believable_usage, cost_usd
from processors.token_growth import Call, CallStream, Explained, take_call
from schemas.detection import CLOSED, OPEN, Finding
from schemas.step import AGENT, HANDOFF, LLM, MEMORY, RETRIEVAL, TOOL, SpanRef, Step

NOWHERE = SpanRef("", "")
MAX_STREAMS = 32
MAX_MODELS = 8
CHARACTERS_PER_TOKEN = 2
"""Low on purpose: what a tool brought back may then explain more, never less, than it does."""
BRINGING = (TOOL, RETRIEVAL, MEMORY)
ANSWERING = (TOOL, HANDOFF, AGENT)
"""What a tool call that a model asks for can turn out to be."""


class CostConfig(DetectorConfig):
    """Settings of `cost`."""

    budgets: Budgets = Budgets()
    warn_share: Annotated[float, Field(gt=0, lt=1)] = WARN_SHARE
    token_explosion: bool = True


class CostItem(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a step spent, and what it brought into the run."""

    model: str = ""
    usd: float | None = None
    unpriced: bool = False
    is_call: bool = False
    input: int = 0
    output: int = 0
    asked: int = 0
    answered: int = 0
    brought: int = 0
    unseen: bool = False


class Spending(msgspec.Struct, array_like=True):
    """What the run has spent."""

    usd: float = 0.0
    calls: int = 0
    input: int = 0
    output: int = 0
    by_model: dict[str, float] = {}
    unpriced_calls: int = 0
    unpriced_models: list[str] = []
    first: SpanRef | None = None
    level: int = Level.FINE
    crossing: SpanRef | None = None
    crossed_ns: int = 0


class CostState(msgspec.Struct, array_like=True):
    """All that is remembered of a run."""

    spending: Spending
    explained: Explained
    streams: dict[str, CallStream]


class CostDetector(Detector[CostConfig, CostItem, CostState]):
    """Adds up what a run costs, and looks for calls that the run does not explain."""

    name = "cost"
    version = "1"
    Config: ClassVar = CostConfig
    Item: ClassVar = CostItem
    State: ClassVar = CostState
    by_agent = True

    def project(self, step: Step) -> CostItem | None:
        """Price the step; tools count by what they brought back."""
        usage = believable_usage(step)
        price = cost_usd(step, usage, self.models)
        is_call = step.kind == LLM and usage is not None
        asked = len(step.calls) or int(step.finish == "tool_call") if step.kind == LLM else 0
        brings = step.kind in BRINGING
        if usage is None and price is None and not asked and not brings and step.kind not in ANSWERING:
            return None
        return CostItem(
            model=step.model,
            usd=price,
            unpriced=usage is not None and price is None,
            is_call=is_call,
            input=usage.input if usage else 0,
            output=usage.output if usage else 0,
            asked=asked,
            answered=int(step.kind in ANSWERING),
            brought=step.result_size or step.output_size if brings else 0,
            unseen=step.kind == TOOL and not (step.result_size or step.output_size or step.result_hash or step.failed),
        )

    def begin(self) -> CostState:
        """Nothing spent yet."""
        return CostState(Spending(), Explained(), {})

    def observe(self, state: CostState, at: At, item: CostItem) -> Sequence[Finding]:
        """Add the step up; report a budget level reached, and growth that began, doubled or ended."""
        findings: list[Finding] = []
        if item.usd is not None or item.unpriced:
            _spend(state.spending, at, item)
            findings += self._budget(state.spending, at)
        if item.is_call and self.config.token_explosion:
            findings += _growth(state, at, item)
        _explain(state.explained, item)
        return findings

    def finish(self, state: CostState) -> Sequence[Finding]:
        """Tell the final figures."""
        budget, spending = self.config.budgets.run_usd, state.spending
        over = [_budget_finding(spending, budget)] if budget and spending.level else []
        growing = [(stream.model, stream.growth) for stream in state.streams.values() if stream.growth is not None]
        return [*over, *(growth_finding(model, growth, CLOSED) for model, growth in growing)]

    def _budget(self, spending: Spending, at: At) -> Sequence[Finding]:
        budget = self.config.budgets.run_usd
        if budget is None:
            return ()
        level = level_of(spending.usd, budget, self.config.warn_share)
        if level <= spending.level:
            return ()
        if spending.level < Level.BREACHED:
            spending.crossing, spending.crossed_ns = at.span, at.end_ns
        spending.level = int(level)
        return [_budget_finding(spending, budget)]


def _spend(spending: Spending, at: At, item: CostItem) -> None:
    spending.calls += 1
    spending.input += item.input
    spending.output += item.output
    spending.first = spending.first or at.span
    if item.usd is None:
        spending.unpriced_calls += 1
        if item.model not in spending.unpriced_models and len(spending.unpriced_models) < MAX_MODELS:
            spending.unpriced_models.append(item.model)
        return
    spending.usd += item.usd
    model = item.model if item.model in spending.by_model or len(spending.by_model) < MAX_MODELS else "(others)"
    spending.by_model[model] = spending.by_model.get(model, 0.0) + item.usd


def _explain(explained: Explained, item: CostItem) -> None:
    explained.tokens += item.output + item.brought // CHARACTERS_PER_TOKEN
    explained.asked += item.asked
    explained.answered = min(explained.asked, explained.answered + item.answered)
    explained.seen = explained.seen or item.brought > 0
    explained.unseen = explained.unseen or item.unseen


def _growth(state: CostState, at: At, item: CostItem) -> Sequence[Finding]:
    key = f"{at.agent}|{item.model}"
    stream = state.streams.get(key)
    if stream is None:
        if len(state.streams) >= MAX_STREAMS:
            del state.streams[next(iter(state.streams))]
        stream = state.streams[key] = CallStream(item.model, base=item.input)
    growth, ended = take_call(stream, Call(at.span, at.end_ns, item.input, item.output), state.explained)
    return [] if growth is None else [growth_finding(item.model, growth, CLOSED if ended else OPEN)]


def _budget_finding(spending: Spending, budget: float) -> Finding:
    over = Overspend(
        budget=RUN,
        budget_usd=budget,
        spent_usd=spending.usd,
        level=Level(spending.level),
        calls=spending.calls,
        unpriced_calls=spending.unpriced_calls,
        first=spending.first or NOWHERE,
        crossing=spending.crossing or NOWHERE,
        crossed_ns=spending.crossed_ns,
    )
    return overspend_finding(
        over,
        RUN,
        OPEN,
        input_tokens=spending.input,
        output_tokens=spending.output,
        usd_by_model={model: round(amount, 6) for model, amount in spending.by_model.items()},
        unpriced_models=list(spending.unpriced_models),
    )
