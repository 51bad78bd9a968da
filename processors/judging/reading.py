"""Reads what comes to the judge: escalated findings, and detections as their detectors tell them again."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from collector.bus.protocol import Record
from processors.judging.rulings import SOURCE

TAKEN = frozenset((b"embedding", b"judge"))
"""`next_tier` of escalations that are judged. No stage takes findings at the third tier, so those come here too."""


class UnreadableFindingError(ValueError):
    """A record holds no detection that can be judged."""


class _Told(msgspec.Struct, frozen=True):
    """What the judge needs of a detection."""

    id: str
    type: str
    tenant: str
    run_id: str
    trace_id: str
    status: str
    version: int
    confidence: float
    title: str
    explanation: str
    evidence: dict[str, Any]
    span_ids: list[str]
    cost_usd: float


def escalated(record: Record) -> dict[str, Any] | None:
    """Read an escalation; None where it is not for the judge. Raises UnreadableFindingError."""
    if record.headers.get("next_tier", b"judge") not in TAKEN:
        return None
    try:
        version, document = msgspec.msgpack.decode(record.value, type=tuple[int, dict[str, Any]])
    except msgspec.DecodeError as error:
        raise UnreadableFindingError(str(error)) from error
    if version != 1:
        raise UnreadableFindingError(f"escalation schema {version}, this version reads 1")
    return _checked(document)


def told_again(record: Record) -> dict[str, Any] | None:
    """Read a detection that a detector published; None for the judge's own, and for what cannot be read."""
    if record.headers.get("ce_source") == SOURCE:
        return None
    try:
        return _checked(orjson.loads(record.value))
    except (orjson.JSONDecodeError, UnreadableFindingError):
        return None  # the sink reads the same record, and puts it among the dead letters


def _checked(document: Any) -> dict[str, Any]:
    try:
        msgspec.convert(document, _Told)
    except msgspec.ValidationError as error:
        raise UnreadableFindingError(str(error)) from error
    checked: dict[str, Any] = document
    return checked
