"""The gate decides by table: risk first, then the moment."""

from __future__ import annotations

import msgspec
import orjson
import pytest
from healing_world import START_NS, detection

from healing.gate import GateSettings, Verdict, decide, may_apply_once_approved
from schemas.healing import GOVERNANCE, RISKS, HealingRequest, ProposedFix, SeenDetection, risk_of

GATE = GateSettings()
SECOND = 1_000_000_000


def request(fix_type: str, parameters: dict[str, object], detection_type: str = "loop") -> HealingRequest:
    seen = msgspec.convert(orjson.loads(orjson.dumps(detection(type=detection_type))), type=SeenDetection)
    fix = ProposedFix(fix_type, parameters)
    return HealingRequest(
        id="h1",
        action="propose",
        tenant="default",
        service="shop",
        agent="ann",
        detection=seen,
        fix=fix,
        risk="SAFE",
        at="2026-11-20T10:00:00Z",
    )


@pytest.mark.parametrize("fix_type", sorted({*RISKS, "never_heard_of"}))
def test_only_safe_types_can_apply_whatever_the_request_claims(fix_type: str) -> None:
    tried: tuple[dict[str, object], ...] = (
        {},
        {"max_repeats": 3},
        {"tool": "t", "max_repeats": 3},
        {"tool": "t"},
        {"max_usd": 1.0},
        {"budget_usd": 1.0},
        {"tool": "t", "base_seconds": 1},
        {"target_tokens": 10},
        {"max_tokens": 10},
        {"tools": ["t"]},
    )
    verdicts = {decide(request(fix_type, one), START_NS, GATE).verdict for one in tried}
    assert (Verdict.APPLY in verdicts) == (risk_of(fix_type) == "SAFE")


@pytest.mark.parametrize("kind", sorted(GOVERNANCE))
def test_governance_is_asked_for_and_does_not_apply_even_when_approved(kind: str) -> None:
    asked = request("loop_breaker", {"max_repeats": 3}, kind)
    assert decide(asked, START_NS, GATE).reason == "governance"
    assert not may_apply_once_approved(asked, GATE)


@pytest.mark.parametrize(
    ("seconds_later", "verdict"),
    [(-61, Verdict.SUGGEST), (-60, Verdict.APPLY), (0, Verdict.APPLY), (899, Verdict.APPLY), (900, Verdict.SUGGEST)],
)
def test_fresh_means_younger_than_the_limit_and_hardly_ahead_of_us(seconds_later: int, verdict: Verdict) -> None:
    now_ns = START_NS + seconds_later * SECOND
    assert decide(request("loop_breaker", {"max_repeats": 3}), now_ns, GATE).verdict == verdict


def test_a_recovery_is_dangerous_without_a_stored_checkpoint() -> None:
    assert risk_of("checkpoint_recovery") == "DANGEROUS"
    assert risk_of("checkpoint_recovery", has_checkpoint=True) == "SAFE"
    assert decide(request("checkpoint_recovery", {}), START_NS, GATE).reason == "dangerous"
    assert decide(request("checkpoint_recovery", {}), START_NS, GATE, has_checkpoint=True).reason == "no_guard"


def test_a_fix_that_no_guard_enforces_is_recorded_when_approved_not_applied() -> None:
    assert not may_apply_once_approved(request("prompt_modification", {"text": "be nice"}), GATE)
    assert may_apply_once_approved(request("permission_gate", {"tools": ["rm"]}), GATE)
