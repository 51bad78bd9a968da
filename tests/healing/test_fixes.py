"""A fix's parameters come from telemetry: what a guard must not obey is refused."""

from __future__ import annotations

from typing import Any

import pytest

from healing.fixes import PARAMETERS, BadParameters, checked_parameters
from schemas.healing import RISKS, ProposedFix


@pytest.mark.parametrize(
    ("fix_type", "parameters", "stated"),
    [
        ("circuit_breaker", {"tool": "t", "max_repeats": 3}, {"tool": "t", "max_repeats": 3}),
        ("circuit_breaker", {"model": "m", "max_failures": 3}, {"model": "m", "max_failures": 3}),
        ("retry_limit", {"tool": "t", "max_retries": 2}, {"tool": "t", "max_retries": 2}),
        ("loop_breaker", {"max_repeats": 3}, {"max_repeats": 3}),
        ("execution_timeout", {"tool": "t"}, {"tool": "t", "seconds": 120.0}),
        ("budget_limiter", {"max_usd": 2, "scope": "run"}, {"max_usd": 2.0, "scope": "run"}),
        (
            "budget_limiter",
            {"max_usd": 2.0, "scope": "agent"},
            {"max_usd": 2.0, "scope": "agent", "window_seconds": 3_600.0},
        ),
        ("cost_monitor", {"budget_usd": 2.0, "scope": "tenant"}, {"budget_usd": 2.0, "scope": "tenant"}),
        ("exponential_backoff", {"tool": "t", "base_seconds": 1}, {"tool": "t", "base_seconds": 1.0}),
        (
            "window_management",
            {"model": "m", "max_context_share": 0.65},
            {"model": "m", "max_context_share": 0.65},
        ),
        ("context_pruning", {"target_tokens": 900}, {"target_tokens": 900}),
        ("token_optimizer", {"max_tokens": 900}, {"max_tokens": 900}),
    ],
)
def test_what_our_detectors_suggest_becomes_a_rule(
    fix_type: str, parameters: dict[str, Any], stated: dict[str, Any]
) -> None:
    assert checked_parameters(ProposedFix(fix_type, parameters)) == stated


@pytest.mark.parametrize(
    ("fix_type", "parameters"),
    [
        ("circuit_breaker", {}),
        ("circuit_breaker", {"tool": "t"}),
        ("circuit_breaker", {"max_repeats": 3}),
        ("circuit_breaker", {"tool": "", "max_repeats": 3}),
        ("circuit_breaker", {"tool": "t\x1b[2J", "max_repeats": 3}),
        ("circuit_breaker", {"tool": "t" * 257, "max_repeats": 3}),
        ("circuit_breaker", {"tool": "t", "max_repeats": 0}),
        ("circuit_breaker", {"tool": "t", "max_repeats": True}),
        ("circuit_breaker", {"tool": "t", "max_repeats": "3"}),
        ("circuit_breaker", {"tool": "t", "max_repeats": 10**9}),
        ("circuit_breaker", {"tool": "t", "max_repeats": 3, "command": "rm"}),
        ("budget_limiter", {"max_usd": 0}),
        ("budget_limiter", {"max_usd": -1.0}),
        ("budget_limiter", {"max_usd": float("inf")}),
        ("budget_limiter", {"max_usd": float("nan")}),
        ("budget_limiter", {"max_usd": 1.0, "scope": "tenant"}),
        ("execution_timeout", {"seconds": 0}),
        ("permission_gate", {"tools": []}),
        ("permission_gate", {"tools": ["ok", "\n"]}),
        ("emergency_stop", {"now": True}),
    ],
)
def test_what_a_guard_must_not_obey_is_refused(fix_type: str, parameters: dict[str, Any]) -> None:
    with pytest.raises(BadParameters, match=fix_type):
        checked_parameters(ProposedFix(fix_type, parameters))


def test_every_fix_a_guard_enforces_stands_in_the_vocabulary() -> None:
    assert set(PARAMETERS) <= set(RISKS)
