"""Questions to a person: what an approval event says, and the hand-off that goes with it."""

from __future__ import annotations

from healing.gate import Decision, Verdict
from schemas.healing import EXPIRED, REQUESTED, Approval, HandOff, HealingRequest, ProposedFix, risk_of
from schemas.timestamps import SECOND_NS, rfc3339

DEADLINE_NS = 24 * 3_600 * SECOND_NS
"""Bus time a person has to answer."""
NO_FIX = ProposedFix("", {}, "")


def question(request: HealingRequest, decision: Decision, applies: bool, at_ns: int, deadline_ns: int) -> Approval:
    """Ask a person."""
    seen, fix = request.detection, request.fix or NO_FIX
    rollback = (
        f"Applying adds one {fix.fix_type} rule to the guard policy. It leaves again when the detection is withdrawn "
        "or the rule expires; the policy in force before is in the outcome's checkpoint."
    )
    by_hand = "Approving records the decision and changes nothing; undo by hand what you do by hand."
    hand_off = HandOff(
        who=f"{request.agent or 'an agent'} of {request.service or 'an unknown service'}, run {seen.run_id}",
        title=seen.title,
        explanation=seen.explanation,
        evidence=seen.evidence,
        run_id=seen.run_id,
        trace_id=seen.trace_id,
        spans=seen.spans,
        recommended_rollback=rollback if applies else by_hand,
        applies_on_approval=applies,
        deadline=rfc3339(deadline_ns),
    )
    return _event(REQUESTED, request, decision.verdict, decision.words, at_ns, deadline_ns, hand_off)


def no_longer(request: HealingRequest, verdict: Verdict, why: str, at_ns: int, deadline_ns: int) -> Approval:
    """Say that a question needs no answer any more."""
    return _event(EXPIRED, request, verdict, why, at_ns, deadline_ns, None)


def _event(
    event: str,
    request: HealingRequest,
    verdict: Verdict,
    reason: str,
    at_ns: int,
    deadline_ns: int,
    hand_off: HandOff | None,
) -> Approval:
    seen, fix = request.detection, request.fix or NO_FIX
    return Approval(
        id=f"{request.id}.{event}.{seen.version}",
        healing_id=request.id,
        event=event,  # type: ignore[arg-type]  # one of the constants of that Literal
        kind="suggestion" if verdict == Verdict.SUGGEST else "approval",
        tenant=request.tenant,
        service=request.service,
        agent=request.agent,
        detection_id=seen.id,
        detection_version=seen.version,
        detection_type=seen.type,
        detection_title=seen.title,
        fix_type=fix.fix_type,
        risk=risk_of(fix.fix_type),  # type: ignore[arg-type]  # as above
        parameters=fix.parameters,
        reason=reason,
        who=None,
        note=None,
        at=rfc3339(at_ns),
        deadline=rfc3339(deadline_ns),
        hand_off=hand_off,
    )
