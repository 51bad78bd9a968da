"""The gate: whether a fix applies by itself, is asked for, is only suggested, or is refused. Denies by default.

MEDIUM fixes are asked for. Applying them after the detector, replayed on the mended input, has stopped firing
needs that replay first; until it exists a person decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from healing.fixes import BadParameters, checked_parameters, enforceable
from schemas.detection import OPEN
from schemas.healing import MEDIUM, RISKS, SAFE, HealingRequest, ProposedFix, is_governance, risk_of
from schemas.timestamps import SECOND_NS

SKEW_SECONDS = 60
"""How far ahead of us an agent's clock may be before its spans count as dated in the future."""


@dataclass(frozen=True)
class GateSettings:
    """When a fix applies by itself: the keys under `healing`."""

    dry_run: bool = False
    min_confidence: float = 0.80
    max_age_seconds: float = 900.0


class Verdict(StrEnum):
    """What is to happen with a proposed fix."""

    APPLY = "apply"
    ASK = "ask"
    SUGGEST = "suggest"
    REFUSE = "refuse"


class Decision(NamedTuple):
    """A verdict and its reason: `reason` is a short fixed name, `words` says it to a person."""

    verdict: Verdict
    reason: str
    words: str


def decide(request: HealingRequest, now_ns: int, settings: GateSettings, has_checkpoint: bool = False) -> Decision:
    """Decide what is to happen with a request at a moment of bus time. Pure."""
    if request.fix is None:
        return Decision(Verdict.REFUSE, "no_fix", "The request proposes no fix.")
    return (
        _forbidden(request)
        or _malformed(request.fix)
        or _too_risky(request.fix, settings, has_checkpoint)
        or _not_now(request, now_ns, settings)
        or Decision(Verdict.APPLY, "safe", "SAFE, confident and fresh.")
    )


def may_apply_once_approved(request: HealingRequest, settings: GateSettings) -> bool:
    """Say whether an approval would put a rule in force; otherwise it is a record of what a person does himself."""
    fix = request.fix
    if fix is None or settings.dry_run or not request.service or is_governance(request.detection.type):
        return False
    return fix.fix_type in RISKS and enforceable(fix.fix_type) and _malformed(fix) is None


def _forbidden(request: HealingRequest) -> Decision | None:
    if not is_governance(request.detection.type):
        return None
    return Decision(Verdict.ASK, "governance", "Governance detections are never healed automatically.")


def _malformed(fix: ProposedFix) -> Decision | None:
    if not enforceable(fix.fix_type):
        return None
    try:
        checked_parameters(fix)
    except BadParameters as error:
        return Decision(Verdict.REFUSE, "bad_parameters", str(error)[:1_024])
    return None


def _too_risky(fix: ProposedFix, settings: GateSettings, has_checkpoint: bool) -> Decision | None:
    if settings.dry_run:
        return Decision(Verdict.SUGGEST, "dry_run", "healing::dry_run is on: nothing applies.")
    if fix.fix_type not in RISKS:
        return Decision(Verdict.ASK, "unknown_fix", "The fix is not in the vocabulary, so it counts as DANGEROUS.")
    risk = risk_of(fix.fix_type, has_checkpoint)
    if risk == MEDIUM:
        return Decision(Verdict.ASK, "medium", "A MEDIUM fix waits for a person until it can be tried by replay.")
    if risk != SAFE:
        return Decision(Verdict.ASK, "dangerous", "A DANGEROUS fix waits for a person.")
    if not enforceable(fix.fix_type):
        return Decision(Verdict.ASK, "no_guard", "No guard enforces this fix; a person carries it out.")
    return None


def _not_now(request: HealingRequest, now_ns: int, settings: GateSettings) -> Decision | None:
    """Find out why a SAFE fix is only a suggestion."""
    seen = request.detection
    age_ns = now_ns - seen.event_ns
    if not request.service:
        return Decision(Verdict.SUGGEST, "no_service", "No service is known, so no guard would read the policy.")
    if seen.status != OPEN:
        return Decision(Verdict.SUGGEST, "not_open", f"The detection is {seen.status}.")
    if not seen.confidence >= settings.min_confidence:
        return Decision(
            Verdict.SUGGEST, "weak", f"Confidence {seen.confidence:.2f} is below {settings.min_confidence}."
        )
    if age_ns >= settings.max_age_seconds * SECOND_NS:
        return Decision(Verdict.SUGGEST, "stale", f"It happened {age_ns // SECOND_NS} s ago.")
    if age_ns < -SKEW_SECONDS * SECOND_NS:
        return Decision(Verdict.SUGGEST, "future", "It is dated in the future.")
    return None
