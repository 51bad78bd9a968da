"""What runs with grey findings have in common as they stand on the bus, whoever is to look at them next."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from collector.bus.protocol import Outgoing
from processors.runs.publishing import Subject, detection_id, detection_outgoing, escalation_outgoing
from schemas.detection import OPEN, Finding
from schemas.keys import join_key
from schemas.step import SpanRef, Step
from schemas.steps_codec import encode_steps
from schemas.timestamps import SECOND_NS
from schemas.topics import AGENT_STEPS

BEGIN_NS = 1_790_000_000 * SECOND_NS
TENANT = "acme"


def trace(number: int) -> str:
    return f"{number:032x}"


def span(number: int) -> str:
    return f"{number:016x}"


def spans_of(run: str, numbers: Sequence[int]) -> tuple[SpanRef, ...]:
    return tuple(SpanRef(run, span(number)) for number in numbers)


def grey_finding(over: tuple[SpanRef, ...], confidence: float = 0.5, status: str = OPEN, **fields: Any) -> Finding:
    """Make a finding of the third tier; `fields` say at least its type, fingerprint, texts and evidence."""
    given: dict[str, Any] = {
        "first": over[0],
        "spans": over,
        "status": status,
        "tier": 3,
        "confidence": confidence,
        "severity": "medium",
        "score": 50,
        "event_time_ns": BEGIN_NS,
    }
    return Finding(**{**given, **fields})


def steps_record(steps: Sequence[Step]) -> Outgoing:
    return Outgoing(AGENT_STEPS, join_key(steps[0].tenant, steps[0].run_id), encode_steps(list(steps)))


_versions = itertools.count(1)


def published(subject: Subject, finding: Finding, escalates: bool) -> list[Outgoing]:
    """Give what a detector publishes of a finding: the detection, and the escalation where it is grey."""
    version = next(_versions)
    records = [detection_outgoing(subject, finding, version, BEGIN_NS)]
    return [*records, escalation_outgoing(subject, finding, version, BEGIN_NS)] if escalates else records


def id_of(run: str, finding: Finding, tenant: str = TENANT) -> str:
    return detection_id(tenant, run, finding)
