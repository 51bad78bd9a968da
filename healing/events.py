"""Writes what healing has to say as records: requests, approval events, outcomes, policies."""

from __future__ import annotations

import msgspec
import xxhash

from collector.bus.protocol import Outgoing
from schemas.healing import (
    APPROVAL_SCHEMA,
    HEALING_SCHEMA,
    OUTCOME_SCHEMA,
    POLICY_SCHEMA,
    Approval,
    Document,
    HealingRequest,
    Outcome,
    Policy,
    encode,
    healing_key,
)
from schemas.keys import join_key
from schemas.topics import APPROVALS, CONTENT_TYPE_HEADER, HEALING, HEALING_OUTCOMES, POLICIES, TENANT_HEADER

TOPIC_OF: dict[type[Document], tuple[str, bytes]] = {
    HealingRequest: (HEALING, HEALING_SCHEMA.encode()),
    Approval: (APPROVALS, APPROVAL_SCHEMA.encode()),
    Outcome: (HEALING_OUTCOMES, OUTCOME_SCHEMA.encode()),
    Policy: (POLICIES, POLICY_SCHEMA.encode()),
}


def outgoing(event: Document) -> Outgoing:
    """Write an event under the key of its tenant, service and agent; raises UnreadableDocument."""
    topic, schema = TOPIC_OF[type(event)]
    headers = {
        TENANT_HEADER: event.tenant.encode(),
        CONTENT_TYPE_HEADER: b"application/json",
        "ce_specversion": b"1.0",
        "ce_type": schema,
        "ce_source": b"tracemend/healing",
        "ce_id": event_id(event).encode(),
    }
    return Outgoing(topic, healing_key(event.tenant, event.service, event.agent), encode(event), headers)


def event_id(event: Document) -> str:
    """Name an event: the same when the same thing is said again."""
    if isinstance(event, Policy):
        return f"{healing_key(event.tenant, event.service, event.agent)}.{event.version}"
    if isinstance(event, HealingRequest):
        return f"{event.id}.{event.action}.{event.detection.version}"
    return event.id


def healing_id(tenant: str, detection_id: str) -> str:
    """Derive a healing's id from its detection's: a detection is healed at most once."""
    return xxhash.xxh3_128_hexdigest(join_key("healing", tenant, detection_id).encode())


def without_evidence(request: HealingRequest) -> HealingRequest:
    """Cut a request to what has to be remembered of it."""
    seen = msgspec.structs.replace(request.detection, evidence={}, spans=(), explanation="")
    return msgspec.structs.replace(request, detection=seen)
