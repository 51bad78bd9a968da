"""From findings to detections: what is worth publishing, under which id and version, and in which words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import orjson
import xxhash

from collector.bus.protocol import Outgoing
from schemas.detection import CLOSED, DETECTION_SCHEMA, GREY_ZONE, WITHDRAWN, Finding, confidence_tier
from schemas.healing import risk_of
from schemas.keys import join_key
from schemas.metrics import DETECTIONS_PUBLISHED, ESCALATED
from schemas.timestamps import rfc3339
from schemas.topics import CONTENT_TYPE_HEADER, DETECTIONS, ESCALATIONS, TENANT_HEADER

NEXT_TIER = {1: b"embedding", 2: b"embedding", 3: b"embedding", 4: b"human"}
"""Who is to look at a grey finding, by its tier. What tier three says has been found by a table: its second look, where
there is one, is its full model's. Where there is none the judge takes these as well."""
UNNAMED_AGENT = "The agent"


class Subject(NamedTuple):
    """Whose detection it is: what is known of the run and of the step that crossed the line."""

    tenant: str
    run_id: str
    service: str
    agent: str
    framework: str
    conversation_id: str
    processor: str
    processor_version: str


class Versions:
    """Numbers that only grow, also after lost state: milliseconds of bus time, or one more than the last."""

    def __init__(self) -> None:
        self._last = 0

    def next(self, now_ns: int, above: int = 0) -> int:
        """Give the next version, higher than `above`: what was published before, also by a process that has died."""
        self._last = max(now_ns // 1_000_000, self._last + 1, above + 1)
        return self._last


def detection_id(tenant: str, run_id: str, finding: Finding) -> str:
    """Derive the id: the same whenever the same spans are processed again."""
    identity = join_key(tenant, finding.type, run_id, finding.fingerprint, finding.first.span_id)
    return xxhash.xxh3_128_hexdigest(identity.encode())


def digest(seen: Finding | Subject) -> int:
    """Fingerprint what a reader would see."""
    return xxhash.xxh3_64_intdigest(msgspec.msgpack.encode(seen, order="sorted"))


def detection_outgoing(
    subject: Subject, finding: Finding, version: int, detected_ns: int, replaces: str | None = None
) -> Outgoing:
    """Build the `detections` record of one version of a finding."""
    document = document_of(subject, finding, version, detected_ns, replaces)
    headers = {
        TENANT_HEADER: subject.tenant.encode(),
        CONTENT_TYPE_HEADER: b"application/json",
        "ce_specversion": b"1.0",
        "ce_type": DETECTION_SCHEMA.encode(),
        "ce_source": f"tracemend/{subject.processor}".encode(),
        "ce_id": f"{document['id']}.{version}".encode(),
        "ce_time": document["detected_at"].encode(),
    }
    DETECTIONS_PUBLISHED.labels(type=finding.type, status=finding.status).inc()
    return Outgoing(DETECTIONS, join_key(subject.tenant, subject.run_id), orjson.dumps(document), headers)


def escalation_outgoing(subject: Subject, finding: Finding, version: int, detected_ns: int) -> Outgoing:
    """Build the `escalations` record of a finding in the grey zone: the next tier gets it with its evidence."""
    document = document_of(subject, finding, version, detected_ns, None)
    headers = {TENANT_HEADER: subject.tenant.encode(), "next_tier": NEXT_TIER.get(finding.tier, b"human")}
    ESCALATED.labels(type=finding.type).inc()
    value = msgspec.msgpack.encode([1, document])
    return Outgoing(ESCALATIONS, join_key(subject.tenant, subject.run_id), value, headers)


def is_grey(finding: Finding, is_new: bool = False) -> bool:
    """Say whether the next tier should look at a finding; what is over has been looked at, unless it is new."""
    settled = finding.status == WITHDRAWN or (finding.status == CLOSED and not is_new)
    return not settled and GREY_ZONE[0] <= finding.confidence < GREY_ZONE[1]


def document_of(
    subject: Subject, finding: Finding, version: int, detected_ns: int, replaces: str | None
) -> dict[str, Any]:
    """Write a detection as `tracemend.detection/1`; the order of its fields is the contract's."""
    name = subject.agent or UNNAMED_AGENT
    return {
        "schema": DETECTION_SCHEMA,
        "id": detection_id(subject.tenant, subject.run_id, finding),
        "type": finding.type,
        "processor": subject.processor,
        "processor_version": subject.processor_version,
        "tier": finding.tier,
        "confidence": round(finding.confidence, 4),
        "confidence_tier": confidence_tier(finding.confidence),
        "severity": finding.severity,
        "score": finding.score,
        "tenant": subject.tenant,
        "service": subject.service or None,
        "agent": subject.agent or None,
        "framework": subject.framework or None,
        "status": finding.status,
        "version": version,
        "trace_id": finding.trace_id or finding.first.trace_id,
        "run_id": subject.run_id,
        "conversation_id": subject.conversation_id or None,
        "replaces": replaces,
        "span_ids": [span.span_id for span in finding.spans],
        "spans": [{"trace_id": span.trace_id, "span_id": span.span_id} for span in finding.spans],
        "title": _clean(finding.title.replace("{agent}", name)),
        "explanation": _clean(finding.explanation.replace("{agent}", name)),
        "evidence": finding.evidence,
        "suggested_fix": _fix_of(finding),
        "event_time": rfc3339(finding.event_time_ns),
        "detected_at": rfc3339(detected_ns),
        "cost_usd": 0.0,
    }


def _fix_of(finding: Finding) -> dict[str, Any] | None:
    if finding.fix is None:
        return None
    fix = finding.fix
    return {
        "fix_type": fix.fix_type,
        "risk": risk_of(fix.fix_type),
        "parameters": fix.parameters,
        "description": _clean(fix.description),
    }


def _clean(text: str) -> str:
    """Keep a text to one printable line: names in it come from spans."""
    return "".join(_printable(text))


def _printable(text: str) -> Iterator[str]:
    for char in text:
        if char.isprintable():
            yield char
        elif char in "\n\t\r":
            yield " "
