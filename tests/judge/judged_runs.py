"""Runs whose findings are grey, as they stand on the bus."""

from __future__ import annotations

import itertools
from typing import Any

from collector.bus.protocol import Outgoing
from processors.runs.publishing import Subject, detection_id, detection_outgoing, escalation_outgoing
from schemas.detection import OPEN, Finding
from schemas.keys import join_key
from schemas.step import LLM, TOOL, SpanRef, Step
from schemas.steps_codec import encode_steps
from schemas.timestamps import SECOND_NS
from schemas.topics import AGENT_STEPS

BEGIN_NS = 1_790_000_000 * SECOND_NS
TENANT = "acme"


def trace(number: int) -> str:
    return f"{number:032x}"


def span(number: int) -> str:
    return f"{number:016x}"


def steps_of(run: str, results: list[str], task: str = "Find the cheapest flight.", tenant: str = TENANT) -> list[Step]:
    """Make one model call with the task, then a tool call for each result."""
    first = Step(tenant, run, run, span(1), LLM, BEGIN_NS, BEGIN_NS + 1, agent="scout", input_text=task)
    called = [
        Step(
            tenant,
            run,
            run,
            span(number),
            TOOL,
            BEGIN_NS + number * SECOND_NS,
            BEGIN_NS + number * SECOND_NS + 1,
            agent="scout",
            tool="search_flights",
            args='{"to":"LIS"}',
            result=result,
        )
        for number, result in enumerate(results, 2)
    ]
    return [first, *called]


def finding_of(run: str, count: int, confidence: float = 0.5, status: str = OPEN, **fields: Any) -> Finding:
    """Make a loop over the tool calls of `steps_of`."""
    spans = tuple(SpanRef(run, span(number)) for number in range(2, 2 + count))
    given: dict[str, Any] = {
        "type": "loop",
        "fingerprint": "search_flights",
        "first": spans[0],
        "spans": spans,
        "status": status,
        "tier": 3,
        "confidence": confidence,
        "severity": "medium",
        "score": 50,
        "title": f"{{agent}} called search_flights {count} times",
        "explanation": "The calls look alike.",
        "evidence": {"repetitions": count},
        "event_time_ns": BEGIN_NS,
    }
    return Finding(**{**given, **fields})


def subject_of(run: str, tenant: str = TENANT) -> Subject:
    return Subject(tenant, run, "trips", "scout", "langgraph", "", "loop", "1")


def steps_record(steps: list[Step]) -> Outgoing:
    return Outgoing(AGENT_STEPS, join_key(steps[0].tenant, steps[0].run_id), encode_steps(steps))


_versions = itertools.count(1)


def told(run: str, finding: Finding, escalates: bool = True, tenant: str = TENANT) -> list[Outgoing]:
    """Give what a detector publishes of a finding: the detection, and the escalation where it is grey."""
    version, subject = next(_versions), subject_of(run, tenant)
    records = [detection_outgoing(subject, finding, version, BEGIN_NS)]
    return [*records, escalation_outgoing(subject, finding, version, BEGIN_NS)] if escalates else records


def grey_run(run: str, results: list[str] | None = None, tenant: str = TENANT) -> list[Outgoing]:
    """Make a whole run with one grey finding."""
    given = results or ["No flights found for this day.", "No flights found for that day."]
    return [steps_record(steps_of(run, given, tenant=tenant)), *told(run, finding_of(run, len(given)), tenant=tenant)]


def id_of(run: str, finding: Finding, tenant: str = TENANT) -> str:
    return detection_id(tenant, run, finding)
