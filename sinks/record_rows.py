"""Detections, usage and dead letters as rows of our own tables; columns are named once, with their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from collector.bus.protocol import Record
from schemas.detection import DETECTION_SCHEMA
from schemas.timestamps import unix_ns
from schemas.usage import UsageRecord

LARGEST = 2**63 - 1
Small = Annotated[int, Meta(ge=0, le=255)]
Count = Annotated[int, Meta(ge=0, le=LARGEST)]


class StoredFix(msgspec.Struct):
    """What the store tells apart of a suggested fix."""

    fix_type: str
    risk: str = ""


class StoredDetection(msgspec.Struct, kw_only=True):
    """What the store tells apart of a detection; field names are those of `tracemend.detection/1`."""

    schema: Literal["tracemend.detection/1"] = DETECTION_SCHEMA  # type: ignore[assignment]  # the same text
    id: Annotated[str, Meta(min_length=1)]
    tenant: str
    version: Count
    type: str
    processor: str
    tier: Small
    confidence: float
    confidence_tier: str
    severity: str
    score: Small
    status: str
    service: str | None
    agent: str | None
    framework: str | None
    trace_id: str
    run_id: str
    conversation_id: str | None
    replaces: str | None
    span_ids: list[str]
    title: str
    explanation: str
    evidence: msgspec.Raw
    suggested_fix: StoredFix | None
    event_time: str
    detected_at: str
    cost_usd: float


DETECTION_COLUMNS: dict[str, Callable[[StoredDetection], Any]] = {
    "Tenant": lambda d: d.tenant,
    "Id": lambda d: d.id,
    "Version": lambda d: d.version,
    "Type": lambda d: d.type,
    "Processor": lambda d: d.processor,
    "Tier": lambda d: d.tier,
    "Confidence": lambda d: d.confidence,
    "ConfidenceTier": lambda d: d.confidence_tier,
    "Severity": lambda d: d.severity,
    "Score": lambda d: d.score,
    "Status": lambda d: d.status,
    "Service": lambda d: d.service or "",
    "Agent": lambda d: d.agent or "",
    "Framework": lambda d: d.framework or "",
    "TraceId": lambda d: d.trace_id,
    "RunId": lambda d: d.run_id,
    "ConversationId": lambda d: d.conversation_id or "",
    "Replaces": lambda d: d.replaces or "",
    "SpanIds": lambda d: d.span_ids,
    "Title": lambda d: d.title,
    "Explanation": lambda d: d.explanation,
    "Evidence": lambda d: bytes(d.evidence).decode(),
    "FixType": lambda d: d.suggested_fix.fix_type if d.suggested_fix else "",
    "FixRisk": lambda d: d.suggested_fix.risk if d.suggested_fix else "",
    "EventTime": lambda d: nearest_ns(d.event_time),
    "DetectedAt": lambda d: storable_ns(d.detected_at),
    "CostUsd": lambda d: d.cost_usd,
}
"""All but `Json`, the last column: the whole document as it was published."""
USAGE_COLUMNS: dict[str, Callable[[UsageRecord], Any]] = {
    "Tenant": lambda used: used.tenant,
    "TraceId": lambda used: used.trace_id,
    "SpanId": lambda used: used.span_id,
    "Sequence": lambda used: min(max(used.sign_seq, 0), 2**32 - 1),
    "RunId": lambda used: used.run_id,
    "Service": lambda used: used.service,
    "Agent": lambda used: used.agent,
    "Framework": lambda used: used.framework,
    "Model": lambda used: used.model,
    "Provider": lambda used: used.provider,
    "At": lambda used: used.at_ns,
    "Input": lambda used: _signed(used.input),
    "Output": lambda used: _signed(used.output),
    "CacheRead": lambda used: _signed(used.cache_read),
    "CacheWrite": lambda used: _signed(used.cache_write),
    "Reasoning": lambda used: _signed(used.reasoning),
    "CostUsd": lambda used: used.cost_usd or 0.0,
    "Priced": lambda used: used.cost_usd is not None,
}
DEAD_LETTER_COLUMNS = ("At", "Stage", "Topic", "Partition", "Offset", "Tenant", "ErrorClass", "ErrorText", "Size")

_detection = msgspec.json.Decoder(StoredDetection)


def usage_row(used: UsageRecord) -> tuple[Any, ...]:
    """Write what a call used."""
    return tuple(read(used) for read in USAGE_COLUMNS.values())


def detection_row(value: bytes) -> tuple[int, tuple[Any, ...]]:
    """Write a detection, the whole document beside its fields; raises ValueError for what is none."""
    detection = _detection.decode(value)
    row = tuple(read(detection) for read in DETECTION_COLUMNS.values())
    return storable_ns(detection.detected_at), (*row, value.decode())


def dead_letter_row(record: Record) -> tuple[int, tuple[Any, ...]]:
    """Write a dead letter: what happened to it, not what is in it. What a header does not say is left empty."""
    texts = {name: value.decode("utf-8", "replace") for name, value in record.headers.items()}
    numbers = {name: int(text) if text.isdecimal() and len(text) < 19 else 0 for name, text in texts.items()}
    row = (
        record.append_ns,
        texts.get("stage", ""),
        texts.get("original-topic", ""),
        numbers.get("original-partition", 0),
        numbers.get("original-offset", 0),
        texts.get("tenant", ""),
        texts.get("error-class", ""),
        texts.get("error-text", ""),
        numbers.get("original-size", 0),
    )
    return record.append_ns, row


def storable_ns(text: str) -> int:
    """Read an RFC 3339 time as Unix nanoseconds; raises ValueError for what is none, or is none the store can hold."""
    at = unix_ns(text)
    if not 0 <= at <= LARGEST:
        raise ValueError(f"{text} is outside of what the store can date")
    return at


def nearest_ns(text: str) -> int:
    """Read a time that came from a span, which may be dated in any year: as near as the store can date it.

    The document keeps it as it was told; raises ValueError for what is no time.
    """
    return min(max(unix_ns(text), 0), LARGEST)


def _signed(count: int) -> int:
    return min(max(count, -LARGEST), LARGEST)
