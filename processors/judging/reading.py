"""Reads what comes to the upper tiers: escalated findings, and detections as those below tell them again."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
import orjson

from collector.bus.protocol import Record

SECOND_LOOK, JUDGE = b"embedding", b"judge"
"""`next_tier` of escalations: to the third tier's second look, or to the judge."""
TAKEN = frozenset((SECOND_LOOK, JUDGE))
"""What is judged where nothing takes a second look: then those for the third tier come here too."""


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


def escalated(record: Record, taken: Collection[bytes]) -> dict[str, Any] | None:
    """Read an escalation; None where its next tier is none of those taken. Raises UnreadableFindingError."""
    if record.headers.get("next_tier", JUDGE) not in taken:
        return None
    try:
        version, document = msgspec.msgpack.decode(record.value, type=tuple[int, dict[str, Any]])
    except msgspec.DecodeError as error:
        raise UnreadableFindingError(str(error)) from error
    if version != 1:
        raise UnreadableFindingError(f"escalation schema {version}, this version reads 1")
    return _checked(document)


def told_again(record: Record, own: bytes) -> dict[str, Any] | None:
    """Read a detection that another part published; None for those of the source `own`, and what cannot be read."""
    if record.headers.get("ce_source") == own:
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
