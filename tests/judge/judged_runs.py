"""Runs whose findings are grey, as they stand on the bus."""

from __future__ import annotations

from typing import Any

from escalated_runs import BEGIN_NS, TENANT, grey_finding, published, span, spans_of, steps_record

from collector.bus.protocol import Outgoing
from processors.runs.publishing import Subject
from schemas.detection import OPEN, Finding
from schemas.step import LLM, TOOL, Step
from schemas.timestamps import SECOND_NS


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
    given: dict[str, Any] = {
        "type": "loop",
        "fingerprint": "search_flights",
        "title": f"{{agent}} called search_flights {count} times",
        "explanation": "The calls look alike.",
        "evidence": {"repetitions": count},
    }
    return grey_finding(spans_of(run, range(2, 2 + count)), confidence, status, **{**given, **fields})


def subject_of(run: str, tenant: str = TENANT) -> Subject:
    return Subject(tenant, run, "trips", "scout", "langgraph", "", "loop", "1")


def told(run: str, finding: Finding, escalates: bool = True, tenant: str = TENANT) -> list[Outgoing]:
    """Give what a detector publishes of a finding: the detection, and the escalation where it is grey."""
    return published(subject_of(run, tenant), finding, escalates)


def grey_run(run: str, results: list[str] | None = None, tenant: str = TENANT) -> list[Outgoing]:
    """Make a whole run with one grey finding."""
    given = results or ["No flights found for this day.", "No flights found for that day."]
    return [steps_record(steps_of(run, given, tenant=tenant)), *told(run, finding_of(run, len(given)), tenant=tenant)]
