"""The fixes a guard can enforce, each with the parameters it takes; anything else in them is refused.

Parameters come from detections, and those from telemetry that anybody may send: types, ranges and names are checked.

BadParameters    never: this fix says something a guard cannot or must not obey
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from schemas.healing import ProposedFix

Subject = Annotated[str, Meta(min_length=1, max_length=256)]
Times = Annotated[int, Meta(ge=1, le=10_000)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Usd = Annotated[float, Meta(gt=0, le=1_000_000)]
Tokens = Annotated[int, Meta(ge=1, le=100_000_000)]
BudgetScope = Literal["run", "agent", "service", "tenant"]

TIMEOUT_SECONDS = 120.0
"""For detections that know of no better figure."""
HOUR_SECONDS = 3_600.0


class BadParameters(ValueError):  # noqa: N818  # named by what the reader should know
    """The parameters of a fix are not what it takes."""


class Parameters(msgspec.Struct, forbid_unknown_fields=True):
    """What a fix takes. None stands for what was not said and is left out of the rule."""


class Repeats(Parameters):
    """Refuse a tool or model after so many equal calls or failures in a row."""

    tool: Subject | None = None
    model: Subject | None = None
    max_repeats: Times | None = None
    max_failures: Times | None = None
    max_retries: Times | None = None

    def __post_init__(self) -> None:
        if (self.tool is None) == (self.model is None):
            raise ValueError("names a tool or a model, one of them")
        if sum(limit is not None for limit in (self.max_repeats, self.max_failures, self.max_retries)) != 1:
            raise ValueError("sets one of max_repeats, max_failures and max_retries")


class LoopBreaker(Parameters):
    """Stop, or ask for another way, after so many equal messages in a row."""

    max_repeats: Times


class Timeout(Parameters):
    """Give up on a tool or model after a while."""

    tool: Subject | None = None
    model: Subject | None = None
    seconds: Seconds = TIMEOUT_SECONDS


class BudgetLimiter(Parameters):
    """Refuse further model calls once so much is spent; over a sliding window where one is given."""

    max_usd: Usd
    scope: Literal["run", "agent", "service"] = "run"
    window_seconds: Seconds | None = None


class CostMonitor(Parameters):
    """Report spending near a budget; refuses nothing."""

    budget_usd: Usd
    scope: BudgetScope = "run"


class StateValidation(Parameters):
    """Check a state before it is passed on: keys that must stay and their JSON types."""

    keys: Annotated[tuple[Subject, ...], Meta(max_length=64)] = ()
    types: Annotated[
        dict[Subject, Literal["null", "boolean", "number", "string", "array", "object"]], Meta(max_length=64)
    ] = {}


class Backoff(Parameters):
    """Wait longer after each failure."""

    base_seconds: Seconds
    tool: Subject | None = None
    model: Subject | None = None
    max_retries: Times | None = None


class ContextShare(Parameters):
    """Keep a model's context below a share of its window, or below a number of tokens."""

    model: Subject | None = None
    max_context_share: Annotated[float, Meta(gt=0, lt=1)] | None = None
    target_tokens: Tokens | None = None


class TokenCap(Parameters):
    """Cap the tokens of single calls."""

    max_tokens: Tokens


class DeniedTools(Parameters):
    """Refuse tools altogether."""

    tools: Annotated[tuple[Subject, ...], Meta(min_length=1, max_length=64)]


class Stop(Parameters):
    """Refuse every further call."""


PARAMETERS: dict[str, type[Parameters]] = {
    "circuit_breaker": Repeats,
    "retry_limit": Repeats,
    "loop_breaker": LoopBreaker,
    "execution_timeout": Timeout,
    "timeout_adjustment": Timeout,
    "budget_limiter": BudgetLimiter,
    "cost_monitor": CostMonitor,
    "state_validation": StateValidation,
    "exponential_backoff": Backoff,
    "context_pruning": ContextShare,
    "summarization": ContextShare,
    "window_management": ContextShare,
    "token_optimizer": TokenCap,
    "permission_gate": DeniedTools,
    "emergency_stop": Stop,
}
"""Fixes that a guard enforces. The other fixes of the vocabulary are a person's to carry out."""


def enforceable(fix_type: str) -> bool:
    """Say whether a guard knows how to obey a fix."""
    return fix_type in PARAMETERS


def checked_parameters(fix: ProposedFix) -> dict[str, Any]:
    """Give the parameters of an enforceable fix as a rule states them; raises BadParameters."""
    try:
        parameters = msgspec.convert(fix.parameters, type=PARAMETERS[fix.fix_type])
    except ValueError as error:
        raise BadParameters(f"{fix.fix_type}: {error}") from error
    stated = {name: value for name, value in msgspec.to_builtins(parameters).items() if value is not None}
    if not all(_printable(value) for value in stated.values()):
        raise BadParameters(f"{fix.fix_type}: a name holds characters that cannot be printed")
    if fix.fix_type == "budget_limiter" and stated["scope"] != "run":
        stated.setdefault("window_seconds", HOUR_SECONDS)
    return stated


def _printable(value: Any) -> bool:
    if isinstance(value, str):
        return value.isprintable()
    return all(map(_printable, value)) if isinstance(value, (list, tuple, dict)) else True
