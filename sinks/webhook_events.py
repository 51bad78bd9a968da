"""Which records a webhook tells, and as which CloudEvents.

UnreadableEvent    never: a record that is none of ours, or names another tenant than the one who sent it
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec

from collector.bus.protocol import Record
from schemas.detection import DETECTION_SCHEMA, SEVERITIES
from schemas.healing import APPROVAL_SCHEMA, OUTCOME_SCHEMA, REQUESTED
from schemas.keys import DEFAULT_TENANT
from schemas.topics import APPROVALS, DETECTIONS, HEALING_OUTCOMES, TENANT_HEADER

TOPICS = (DETECTIONS, APPROVALS, HEALING_OUTCOMES)
LONGEST_ATTRIBUTE = 512
"""Characters of an attribute that a foreign writer put into a header."""


class UnreadableEvent(ValueError):  # noqa: N818  # named by what operators look for
    """A record that cannot be told."""


class Event(NamedTuple):
    """A CloudEvent (1.0). `id` is the same whenever it is told again; `data` is the record's JSON as it stands."""

    id: str
    type: str
    source: str
    time: str
    subject: str
    tenant: str
    data: bytes


@dataclass(frozen=True)
class Wanted:
    """What is told. Of detections those of at least `min_severity`; empty `types` and `tenants` stand for all.

    Of approvals only the questions that need an answer are, of outcomes all.
    """

    topics: tuple[str, ...] = TOPICS
    min_severity: str = "info"
    types: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset({"open", "closed", "withdrawn"})
    tenants: frozenset[str] = frozenset()


class _Detection(msgspec.Struct):
    schema: Literal["tracemend.detection/1"]
    id: str
    version: int
    type: str
    severity: Literal["info", "low", "medium", "high", "critical"]
    status: str
    tenant: str
    detected_at: str


class _Approval(msgspec.Struct):
    schema: Literal["tracemend.approval/1"]
    id: str
    event: str
    kind: str
    tenant: str
    at: str


class _Outcome(msgspec.Struct):
    schema: Literal["tracemend.outcome/1"]
    id: str
    event: str
    tenant: str
    at: str


def event_of(record: Record, wanted: Wanted) -> Event | None:
    """Read a record as an event; None where it is not to be told. Raises UnreadableEvent."""
    try:
        event = _READERS[record.topic](record, wanted)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableEvent(f"not a record of {record.topic}: {error}") from error
    if event is None or (wanted.tenants and event.tenant not in wanted.tenants):
        return None
    if record.headers.get(TENANT_HEADER, DEFAULT_TENANT.encode()) != event.tenant.encode("utf-8", "replace"):
        raise UnreadableEvent("the record's tenant is not the document's")
    return event


def _detection(record: Record, wanted: Wanted) -> Event | None:
    seen = msgspec.json.decode(record.value, type=_Detection)
    loud = SEVERITIES.index(seen.severity) >= SEVERITIES.index(wanted.min_severity)
    known = not wanted.types or seen.type in wanted.types
    if not (loud and known and seen.status in wanted.statuses):
        return None
    return _event(record, f"{seen.id}.{seen.version}", DETECTION_SCHEMA, seen.tenant, seen.detected_at)


def _approval(record: Record, _wanted: Wanted) -> Event | None:
    seen = msgspec.json.decode(record.value, type=_Approval)
    if seen.event != REQUESTED or seen.kind not in ("approval", "review"):
        return None
    return _event(record, seen.id, APPROVAL_SCHEMA, seen.tenant, seen.at)


def _outcome(record: Record, _wanted: Wanted) -> Event:
    seen = msgspec.json.decode(record.value, type=_Outcome)
    return _event(record, seen.id, OUTCOME_SCHEMA, seen.tenant, seen.at)


_READERS = {DETECTIONS: _detection, APPROVALS: _approval, HEALING_OUTCOMES: _outcome}


def _event(record: Record, id_: str, schema: str, tenant: str, at: str) -> Event:
    source = record.headers.get("ce_source", b"tracemend").decode("utf-8", "replace")[:LONGEST_ATTRIBUTE]
    return Event(id_[:LONGEST_ATTRIBUTE], schema, source, at, record.key, tenant, record.value)
