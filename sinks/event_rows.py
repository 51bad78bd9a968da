"""Healing outcomes, approvals and policies as rows: the fields people look for, and the whole document."""

from __future__ import annotations

from typing import Any

import orjson

from collector.bus.protocol import Record
from schemas.timestamps import unix_ns

EVENT_COLUMNS = ("Tenant", "Id", "Event", "DetectionId", "FixType", "Risk", "Service", "Agent", "At", "Reason", "Json")
POLICY_COLUMNS = ("Tenant", "Service", "Agent", "Version", "At", "Rules", "Json")


def event_row(record: Record) -> tuple[int, tuple[Any, ...]]:
    """Write an approval or outcome event; raises ValueError or KeyError for what is none."""
    document = orjson.loads(record.value)
    at = unix_ns(document["at"])
    return at, (
        str(document["tenant"]),
        str(document["healing_id"]),
        str(document["event"]),
        str(document.get("detection_id") or ""),
        str(document.get("fix_type") or ""),
        str(document.get("risk") or ""),
        str(document.get("service") or ""),
        str(document.get("agent") or ""),
        at,
        str(document.get("reason") or document.get("note") or ""),
        record.value.decode(),
    )


def policy_row(record: Record) -> tuple[int, tuple[Any, ...]]:
    """Write the policy in force of a service or agent."""
    document = orjson.loads(record.value)
    rules = document.get("rules") or []
    return record.append_ns, (
        str(document["tenant"]),
        str(document.get("service") or ""),
        str(document.get("agent") or ""),
        int(document["version"]),
        record.append_ns,
        len(rules),
        record.value.decode(),
    )
