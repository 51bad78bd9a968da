"""What a person says, as records: a verdict on a detection, a threshold."""

from __future__ import annotations

from typing import Any

import msgspec

from collector.bus.protocol import Outgoing
from schemas.people import Feedback, Threshold, feedback_key, threshold_key
from schemas.timestamps import rfc3339
from schemas.topics import CONTENT_TYPE_HEADER, FEEDBACK, TENANT_HEADER, THRESHOLDS

UPPER_TIERS = ("judge", "second_look")
"""Parts of a detection's evidence by which it is known that a higher tier has spoken over its detector."""


def found_confidence(versions: list[dict[str, Any]]) -> float:
    """Give the most that a detector gave a detection, of the versions told of it; the least of all where none is its.

    Raises ValueError without versions.
    """
    own = [v["confidence"] for v in versions if not any(tier in v["evidence"] for tier in UPPER_TIERS)]
    own = [confidence for confidence in own if confidence > 0]
    return float(max(own, default=min(v["confidence"] for v in versions)))


def verdict_on(detection: dict[str, Any], found: float, verdict: str, who: str, note: str, now_ns: int) -> Feedback:
    """Judge a detection as it was told; raises msgspec.ValidationError for a name or note that cannot be."""
    said = {
        "tenant": detection["tenant"],
        "detection_id": detection["id"],
        "detection_version": detection["version"],
        "detection_type": detection["type"],
        "framework": detection["framework"] or "",
        "tier": detection["tier"],
        "confidence": detection["confidence"],
        "found_confidence": found,
        "verdict": verdict,
        "who": who,
        "note": note,
        "version": now_ns,
        "at": rfc3339(now_ns),
    }
    return msgspec.convert(said, Feedback)


def feedback_outgoing(said: Feedback) -> Outgoing:
    """Build the `feedback` record of a verdict."""
    headers = _headers(said.tenant, said.schema, f"{said.detection_id}.{said.version}")
    return Outgoing(FEEDBACK, feedback_key(said), msgspec.json.encode(said), headers)


def threshold_outgoing(said: Threshold) -> Outgoing:
    """Build the `thresholds` record of a threshold."""
    key = threshold_key(said)
    return Outgoing(
        THRESHOLDS, key, msgspec.json.encode(said), _headers(said.tenant, said.schema, f"{key}.{said.version}")
    )


def _headers(tenant: str, schema: str, event_id: str) -> dict[str, bytes]:
    return {
        TENANT_HEADER: tenant.encode(),
        CONTENT_TYPE_HEADER: b"application/json",
        "ce_specversion": b"1.0",
        "ce_type": schema.encode(),
        "ce_source": b"tracemend/people",
        "ce_id": event_id.encode(),
    }
