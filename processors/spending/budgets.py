"""Budgets in USD, how far a sum has got towards one, and what is told about it."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from schemas.detection import Finding, Fix
from schemas.step import SpanRef

Usd = Annotated[float, Field(gt=0, allow_inf_nan=False)]

RUN, AGENT_HOUR, TENANT_DAY = "run_usd", "agent_hour_usd", "tenant_day_usd"
WARN_SHARE = 0.8
OUT_OF_HAND_SHARE = 2.0
ROUNDING = 1e-9
"""What adding up many small amounts may lose."""


class Budgets(BaseModel):
    """What may be spent, in USD; None for no limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_usd: Usd | None = None
    agent_hour_usd: Usd | None = None
    tenant_day_usd: Usd | None = None


class Level(IntEnum):
    """How far a sum has got. At `OUT_OF_HAND_SHARE` times the budget it is out of hand."""

    FINE = 0
    WARNED = 1
    BREACHED = 2
    OUT_OF_HAND = 3


SEVERITY = {Level.WARNED: ("medium", 50), Level.BREACHED: ("high", 75), Level.OUT_OF_HAND: ("critical", 92)}
"""Severity and score of each level."""

WORDS = {
    RUN: ("{agent} has {verb} this run's budget", "this run", "a run"),
    AGENT_HOUR: ("{agent} has {verb} its budget for this hour", "{agent} in this hour", "an agent an hour"),
    TENANT_DAY: ("The tenant has {verb} its budget for this day", "all agents on this day", "the tenant a day"),
}
"""Title, who spent, and who may spend, by budget."""

SCOPES = {RUN: "run", AGENT_HOUR: "agent", TENANT_DAY: "tenant"}


class Overspend(NamedTuple):
    """A sum near or past a budget: `first` is its first call, `crossing` the one at which it got there."""

    budget: str
    budget_usd: float
    spent_usd: float
    level: Level
    calls: int
    unpriced_calls: int
    first: SpanRef
    crossing: SpanRef
    crossed_ns: int


def level_of(spent_usd: float, budget_usd: float, warn_share: float = WARN_SHARE) -> Level:
    """Say how far a sum has got towards a budget."""
    share = spent_usd / budget_usd + ROUNDING
    if share >= OUT_OF_HAND_SHARE:
        return Level.OUT_OF_HAND
    if share >= 1:
        return Level.BREACHED
    return Level.WARNED if share >= warn_share else Level.FINE


def overspend_finding(over: Overspend, fingerprint: str, status: str, **evidence: Any) -> Finding:
    """Tell of a sum near or past its budget; `evidence` is added to the figures of the sum."""
    severity, score = SEVERITY[over.level]
    verb = "overspent" if over.level >= Level.BREACHED else "nearly spent"
    title = WORDS[over.budget][0].replace("{verb}", verb)
    return Finding(
        type="cost",
        fingerprint=fingerprint,
        first=over.first,
        spans=(over.first,) if over.first == over.crossing else (over.first, over.crossing),
        status=status,
        tier=1,
        confidence=0.95 if over.unpriced_calls else 0.99,
        severity=severity,
        score=score,
        title=f"{title}: {usd(over.spent_usd)} of {usd(over.budget_usd)}",
        explanation=_explanation(over),
        evidence={
            "budget": over.budget,
            "budget_usd": over.budget_usd,
            "spent_usd": round(over.spent_usd, 6),
            "share": round(over.spent_usd / over.budget_usd, 4),
            "level": over.level.name.lower(),
            "calls": over.calls,
            "unpriced_calls": over.unpriced_calls,
            **evidence,
        },
        event_time_ns=over.crossed_ns,
        fix=_fix(over),
        stage=over.level,
    )


def usd(amount: float) -> str:
    """Write an amount for people: cents, or more digits where cents would say nothing."""
    return f"${amount:,.2f}" if amount >= 1 else f"${amount:.4f}"


def _explanation(over: Overspend) -> str:
    _, who, may = WORDS[over.budget]
    words = (
        f"{over.calls} calls of {who} have cost {usd(over.spent_usd)}, "
        f"{over.spent_usd / over.budget_usd:.0%} of the {usd(over.budget_usd)} that {may} may cost."
    )
    if over.unpriced_calls:
        words += f" {over.unpriced_calls} of them have no known price, so the true figure is higher."
    if over.level >= Level.BREACHED:
        return words + " Stop it, or raise the budget."
    return words + " It will pass the budget if it goes on."


def _fix(over: Overspend) -> Fix:
    scope = SCOPES[over.budget]
    if over.level >= Level.BREACHED and over.budget != TENANT_DAY:
        parameters = {"max_usd": over.budget_usd, "scope": scope}
        return Fix("budget_limiter", f"Refuse further model calls of this {scope}.", parameters)
    # A whole tenant is never stopped by itself.
    return Fix("cost_monitor", "Watch the spending.", {"budget_usd": over.budget_usd, "scope": scope})
