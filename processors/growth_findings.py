"""What is told about calls that grow faster than their run explains."""

from __future__ import annotations

from processors.token_growth import Growth
from schemas.detection import Finding, Fix
from schemas.keys import join_key


def growth_finding(model: str, growth: Growth, status: str) -> Finding:
    """Tell of an episode of growth."""
    ratio = growth.largest / growth.usual
    severe = growth.multiplying or growth.doublings > 0
    return Finding(
        type="token_explosion",
        fingerprint=join_key("tokens", model),
        first=growth.first,
        spans=(growth.first,) if growth.first == growth.crossing else (growth.first, growth.crossing),
        status=status,
        tier=2,
        confidence=_confidence(growth),
        severity="high" if severe else "medium",
        score=72 if severe else 55,
        title=_title(model, growth, ratio),
        explanation=_explanation(growth, ratio),
        evidence={
            "model": model,
            "kind": "multiplying" if growth.multiplying else "spike",
            "ratio": round(ratio, 2),
            "usual_weighted_tokens": growth.usual,
            "largest_weighted_tokens": growth.largest,
            "largest_input_tokens": growth.largest_input,
            "largest_output_tokens": growth.largest_output,
            "explained_tokens": growth.explained if growth.sighted else None,
            "calls": growth.calls,
        },
        event_time_ns=growth.crossed_ns,
        fix=_fix(growth),
        stage=growth.doublings,
    )


def _confidence(growth: Growth) -> float:
    if not growth.sighted:
        return 0.55
    return 0.88 if growth.multiplying else 0.82


def _title(model: str, growth: Growth, ratio: float) -> str:
    how = "keep multiplying" if growth.multiplying else "jumped"
    return f"{{agent}}'s calls to {model or 'its model'} {how}: {ratio:.0f} times the usual size"


def _explanation(growth: Growth, ratio: float) -> str:
    size = f"up to {growth.largest_input:,} tokens in and {growth.largest_output:,} out"
    shape = "Input multiplies from call to call" if growth.multiplying else "A call is far larger than the rest"
    why = (
        f"all that the run has said and read so far explains about {growth.explained:,} tokens"
        if growth.sighted
        else "what its tools bring in is not captured, so part of it may be that"
    )
    return f"{shape}: {size}, {ratio:.1f} times this agent's usual call; {why}. Look for history that is added twice."


def _fix(growth: Growth) -> Fix:
    if growth.multiplying:
        return Fix(
            "context_pruning",
            "Keep the history to what the next call needs; stop feeding answers back whole.",
            {"target_tokens": growth.usual},
        )
    return Fix("token_optimizer", "Cap the size of single calls.", {"max_tokens": 4 * growth.usual})
