"""A run's diagnosis as a JSON document: what `tracemend diagnose --format json` prints and the store keeps.

Fields that a detection has too are called and written as there, so what reads detections reads who is at fault here:
`agent` and `span_ids` are those of the likeliest suspect, `confidence` is its share of the blame.
"""

from __future__ import annotations

from typing import Any

import msgspec
import xxhash

from schemas.keys import join_key
from schemas.run_summary import Found, RunSummary, Suspect
from schemas.timestamps import rfc3339

DIAGNOSIS = "diagnosis"


def document_of(summary: RunSummary) -> dict[str, Any]:
    """Write a summary with its diagnosis; what nobody knows is null."""
    diagnosis = summary.diagnosis
    fault = diagnosis.suspects[0] if diagnosis.suspects else None
    return {
        "id": xxhash.xxh3_128_hexdigest(join_key(summary.tenant, DIAGNOSIS, summary.run_id).encode()),
        "type": DIAGNOSIS,
        "version": summary.version,
        "tenant": summary.tenant,
        "run_id": summary.run_id,
        "trace_id": fault.span.trace_id if fault else summary.trace_id,
        "service": summary.service or None,
        "framework": summary.framework or None,
        "conversation_id": summary.conversation_id or None,
        "outcome": summary.outcome,
        "blames": diagnosis.blames,
        "title": diagnosis.title,
        "explanation": diagnosis.text,
        "agent": (fault.agent or None) if fault else None,
        "span_ids": [fault.span.span_id] if fault else [],
        "confidence": fault.share if fault else 0.0,
        "primary": diagnosis.primary or None,
        "detections": [_found(found) for found in diagnosis.found],
        "suspects": [_suspect(suspect) for suspect in diagnosis.suspects],
        "started": rfc3339(summary.started_ns),
        "ended": rfc3339(summary.ended_ns),
        "figures": msgspec.to_builtins(summary.figures),
    }


def _found(found: Found) -> dict[str, Any]:
    return {
        "id": found.id,
        "type": found.type,
        "title": found.title,
        "severity": found.severity,
        "confidence": found.confidence,
        "agent": found.agent or None,
        "spans": [{"trace_id": span.trace_id, "span_id": span.span_id} for span in found.spans],
        "began": rfc3339(found.at_ns),
        "because": found.because or None,
    }


def _suspect(suspect: Suspect) -> dict[str, Any]:
    return {
        "agent": suspect.agent or None,
        "trace_id": suspect.span.trace_id,
        "span_id": suspect.span.span_id,
        "kind": suspect.kind,
        "name": suspect.name,
        "at": rfc3339(suspect.at_ns),
        "share": suspect.share,
        "why": list(suspect.why),
    }
