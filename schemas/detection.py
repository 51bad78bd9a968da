"""Findings, as detectors report them, and detections, as the world reads them (`tracemend.detection/1`)."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.step import SpanRef

DETECTION_SCHEMA = "tracemend.detection/1"

OPEN = "open"
CLOSED = "closed"
WITHDRAWN = "withdrawn"

GREY_ZONE = (0.35, 0.65)
"""Confidence between these is handed to the next tier, with its evidence."""

SEVERITIES = ("info", "low", "medium", "high", "critical")


class Fix(msgspec.Struct, frozen=True):
    """A fix a detector suggests. The risk is not the detector's to say: healing looks it up by `fix_type`."""

    fix_type: str
    description: str
    parameters: dict[str, Any] = {}


class Finding(msgspec.Struct, frozen=True):
    """One episode as a detector sees it now; told again under the same `fingerprint` and `first` it replaces itself.

    Together `type`, `fingerprint` and `first` say which episode it is: they become the detection's id.
    `spans` begins with the first span of the evidence and ends with the span that crossed the line
    (at most 32 in between are kept); the first never moves, the last only when a further line is crossed.
    `title` and `explanation` may contain `{agent}`, filled in when the agent's name is known.
    `stage` says when a change is worth publishing while the episode is open: a higher stage is, other figures wait.
    `score` is 0-100; `confidence` 0-1; `cost_usd` what it cost to find out.
    """

    type: str
    fingerprint: str
    first: SpanRef
    spans: tuple[SpanRef, ...]
    status: str
    tier: int
    confidence: float
    severity: str
    score: int
    title: str
    explanation: str
    evidence: dict[str, Any]
    event_time_ns: int
    fix: Fix | None = None
    stage: int = 0
    agent: str = ""
    trace_id: str = ""


def confidence_tier(confidence: float) -> str:
    """Name the band a confidence lies in."""
    if confidence >= 0.80:
        return "HIGH"
    if confidence >= 0.60:
        return "LIKELY"
    return "POSSIBLE" if confidence >= 0.40 else "LOW"
