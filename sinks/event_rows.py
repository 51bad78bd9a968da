"""Healing outcomes, approvals and policies as rows: the fields people look for, and the whole document."""

from __future__ import annotations

from typing import Any

from collector.bus.protocol import Record
from schemas.healing import Approval, Outcome, Policy, decode
from sinks.record_rows import storable_ns

EVENT_COLUMNS = (
    "Tenant",
    "Id",
    "EventId",
    "Event",
    "DetectionId",
    "DetectionType",
    "FixType",
    "Risk",
    "Service",
    "Agent",
    "Who",
    "At",
    "Reason",
    "Json",
)
POLICY_COLUMNS = ("Tenant", "Service", "Agent", "Version", "At", "Rules", "Json")


def approval_row(record: Record) -> tuple[int, tuple[Any, ...]]:
    """Write an event of a question to a person; raises UnreadableDocument, or ValueError for a time that is none."""
    event = decode(Approval, record.value)
    return _event_row(event, event.who, event.note or event.reason, record)


def outcome_row(record: Record) -> tuple[int, tuple[Any, ...]]:
    """Write what became of a fix; raises as above."""
    event = decode(Outcome, record.value)
    return _event_row(event, event.by, event.reason, record)


def policy_row(record: Record) -> tuple[int, tuple[Any, ...]]:
    """Write the policy in force of a service or agent; raises as above."""
    policy = decode(Policy, record.value)
    values = (policy.tenant, policy.service, policy.agent, policy.version, record.append_ns, len(policy.rules))
    return record.append_ns, (*values, record.value.decode())


def _event_row(event: Approval | Outcome, who: str | None, reason: str, record: Record) -> tuple[int, tuple[Any, ...]]:
    at = storable_ns(event.at)
    return at, (
        event.tenant,
        event.healing_id,
        event.id,
        event.event,
        event.detection_id,
        event.detection_type,
        event.fix_type,
        event.risk,
        event.service or "",
        event.agent or "",
        who or "",
        at,
        reason,
        record.value.decode(),
    )
