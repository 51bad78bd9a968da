"""Budgets in USD, and how far a sum has got towards one."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Usd = Annotated[float, Field(gt=0, allow_inf_nan=False)]

WARN_SHARE = 0.8


class Level(IntEnum):
    """How far a sum has got. From twice the budget on it is out of hand."""

    FINE = 0
    WARNED = 1
    BREACHED = 2
    OUT_OF_HAND = 3


SEVERITY = {Level.WARNED: ("medium", 50), Level.BREACHED: ("high", 75), Level.OUT_OF_HAND: ("critical", 92)}
"""Severity and score of each level."""


class Budgets(BaseModel):
    """What may be spent, in USD; None for no limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_usd: Usd | None = None
    agent_hour_usd: Usd | None = None
    tenant_day_usd: Usd | None = None


def level_of(spent_usd: float, budget_usd: float, warn_share: float = WARN_SHARE) -> Level:
    """Say how far a sum has got towards a budget."""
    if spent_usd >= 2 * budget_usd:
        return Level.OUT_OF_HAND
    if spent_usd >= budget_usd:
        return Level.BREACHED
    return Level.WARNED if spent_usd >= warn_share * budget_usd else Level.FINE


def usd(amount: float) -> str:
    """Write an amount for people: cents, or more digits where cents would say nothing."""
    return f"${amount:,.2f}" if amount >= 1 else f"${amount:.4f}"
