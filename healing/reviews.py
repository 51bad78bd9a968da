"""Review requests as records: what is read of a detection, and the question to a person it becomes."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import xxhash
from msgspec import Meta

from collector.bus.protocol import Record
from healing.bounded_json import fits
from healing.published_detections import EVIDENCE_BYTES, OMITTED, check_tenant
from healing.saying import UPPER_TIERS
from schemas.detection import GREY_ZONE, WITHDRAWN
from schemas.healing import REQUESTED, Approval, HandOff, Name, SeenDetection, UnreadableDocument
from schemas.keys import join_key
from schemas.timestamps import SECOND_NS, rfc3339

DEADLINE_NS = 24 * 3_600 * SECOND_NS
"""Bus time a person has to answer."""
JUDGED = b"tracemend/llm_judge"
"""`ce_source` of detections as the judge tells them."""
SETTLED = "It was withdrawn, or has become sure: no answer is needed any more."
SURE_OF_CRITICAL = 0.9
"""From this confidence on nobody is asked about a critical detection."""


class Reviewed(SeenDetection, frozen=True, kw_only=True):
    """What is read of a detection that a person may be asked about."""

    tenant: Name
    service: Name | None
    agent: Name | None
    framework: Name | None
    tier: Annotated[int, Meta(ge=0, le=255)]


def read_reviewed(record: Record) -> Reviewed:
    """Read a record of `detections`; raises UnreadableDocument for what is none, or is another tenant's."""
    try:
        seen = msgspec.json.decode(record.value, type=Reviewed)
    except (ValueError, RecursionError) as error:
        raise UnreadableDocument(f"not a detection: {error}") from error
    check_tenant(record, seen.tenant)
    return seen


def is_settled(seen: Reviewed) -> bool:
    """Say whether a detection needs nobody: it was withdrawn, or is sure either way."""
    sure = SURE_OF_CRITICAL if seen.severity == "critical" else GREY_ZONE[1]
    return seen.status == WITHDRAWN or not GREY_ZONE[0] <= seen.confidence < sure


def review_id(tenant: str, detection_id: str) -> str:
    """Derive a question's id from its detection's: a detection is asked about at most once."""
    return xxhash.xxh3_128_hexdigest(join_key("review", tenant, detection_id).encode())


def review(seen: Reviewed, now_ns: int) -> Approval:
    """Ask a person whether a detection is right."""
    question_id = review_id(seen.tenant, seen.id)
    deadline = rfc3339(now_ns + DEADLINE_NS)
    return Approval(
        id=f"{question_id}.{REQUESTED}.{seen.version}",
        healing_id=question_id,
        event="requested",
        kind="review",
        tenant=seen.tenant,
        service=seen.service,
        agent=seen.agent,
        detection_id=seen.id,
        detection_version=seen.version,
        detection_type=seen.type,
        detection_title=seen.title,
        fix_type="",
        risk="SAFE",
        parameters=_facts(seen),
        reason=f"Found with a confidence of {seen.confidence:.2f}: is it right?",
        who=None,
        note=None,
        at=rfc3339(now_ns),
        deadline=deadline,
        hand_off=_hand_off(seen, deadline),
    )


def _facts(seen: Reviewed) -> dict[str, Any]:
    """Give what a verdict has to say of the detection it is on; it travels with the question and its answer."""
    found = seen.confidence
    for tier in UPPER_TIERS:
        told = seen.evidence.get(tier)
        before = told.get("found_confidence") if isinstance(told, dict) else None
        found = before if isinstance(before, float) and 0 <= before <= 1 else found
    return {
        "framework": seen.framework or "",
        "tier": seen.tier,
        "confidence": seen.confidence,
        "found_confidence": found,
    }


def _hand_off(seen: Reviewed, deadline: str) -> HandOff:
    return HandOff(
        who=f"{seen.agent or 'an agent'} of {seen.service or 'an unknown service'}, run {seen.run_id}",
        title=seen.title,
        explanation=seen.explanation,
        evidence=seen.evidence if fits(seen.evidence, EVIDENCE_BYTES) else OMITTED,
        run_id=seen.run_id,
        trace_id=seen.trace_id,
        spans=seen.spans,
        recommended_rollback="An answer changes nothing: approving says the detection is right, rejecting it is wrong.",
        applies_on_approval=False,
        deadline=deadline,
    )
