"""What one step used and cost: the agent's own figure first, then the price list; what cannot be true is left out."""

from __future__ import annotations

from math import isfinite

from processors.detector import ModelCatalogue
from schemas.step import Step, Usage

IMPLAUSIBLE_TOKENS = 100_000_000
"""Ten times the largest window there is: a counter that overflowed, not a call."""
IMPLAUSIBLE_USD = 100_000.0
NO_PARTS = (0, 0, 0)


def believable_usage(step: Step) -> Usage | None:
    """Give a step's token counts; None where it has none, or such as no call can have."""
    usage = step.usage
    if usage is None:
        return None
    if not (0 <= usage.input <= IMPLAUSIBLE_TOKENS and 0 <= usage.output <= IMPLAUSIBLE_TOKENS):
        return None
    parts = (usage.cache_read, usage.cache_write, usage.reasoning)
    if parts == NO_PARTS:
        return usage if usage.input or usage.output else None
    return usage if min(parts) >= 0 and max(parts) <= IMPLAUSIBLE_TOKENS else None


def cost_usd(step: Step, usage: Usage | None, models: ModelCatalogue) -> float | None:
    """Give what a step cost, in USD; None where neither it nor the price list says."""
    own = step.cost_usd
    if own is not None and isfinite(own) and 0 <= own <= IMPLAUSIBLE_USD:
        return own
    return None if usage is None else models.cost_usd(step.model, step.provider, usage, step.start_ns)
