"""Runs whose findings a table of words found and leaves grey, as they stand on the bus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from escalated_runs import BEGIN_NS, TENANT, grey_finding, published, span, spans_of, steps_record

from collector.bus.protocol import Outgoing
from processors.runs.publishing import Subject
from schemas.detection import OPEN, Finding
from schemas.step import AGENT, LLM, SpanRef, Step
from schemas.timestamps import SECOND_NS

AGAIN = (
    (
        "The invoice import stops because the currency column is empty in some rows. I will fill the missing "
        "currencies from the customer's country and then start the import once more."
    ),
    (
        "Some rows have no currency, which is why importing the invoices halts. Let me derive the missing "
        "currency from the country of each customer and rerun the import afterwards."
    ),
    (
        "Importing fails on rows that lack a currency. My plan is to look up every customer's country, take its "
        "currency for the gaps, and run the invoice import again."
    ),
    (
        "As the currency is blank for several rows, the import of invoices cannot finish. I am going to complete "
        "these values using the customers' countries before I import them anew."
    ),
)
"""One thing in other words each time."""
OF_ONE_KIND = (
    (
        "The invoice import stops because the currency column is empty in some rows. I will fill the missing "
        "currencies from the customer's country and then start the import once more."
    ),
    (
        "The invoice export is slow because the tax table is read for every line. I will load the tax table once "
        "for each customer and then measure the export once more."
    ),
    (
        "The invoice archive is large because the scanned page is stored for every line. I will store the scanned "
        "page once for each invoice and then measure the archive once more."
    ),
    (
        "The invoice reminder is late because the address page is opened for every line. I will open the address "
        "page once for each customer and then send the reminder once more."
    ),
)
"""The same form and trade, about something else each time: to a table of words they are alike."""


def saying_steps(run: str, texts: Sequence[str], tenant: str = TENANT) -> list[Step]:
    """Make a model call for each text that is said."""
    at = [BEGIN_NS + number * SECOND_NS for number in range(len(texts))]
    return [
        Step(tenant, run, run, span(number), LLM, begin, begin + 1, agent="clerk", output_text=text)
        for number, (begin, text) in enumerate(zip(at, texts, strict=True), 1)
    ]


def repetition_of(run: str, count: int, confidence: float = 0.5, status: str = OPEN, **fields: Any) -> Finding:
    """Make a repetition over the sayings of `saying_steps`."""
    given: dict[str, Any] = {
        "type": "repetition",
        "fingerprint": "sayings",
        "title": f"{{agent}} said the same {count} times in other words",
        "explanation": "Nothing came of any of them.",
        "evidence": {"repetitions": count, "about": "saying"},
    }
    return grey_finding(spans_of(run, range(1, count + 1)), confidence, status, **{**given, **fields})


def subject_of(run: str, tenant: str = TENANT, processor: str = "repetition") -> Subject:
    return Subject(tenant, run, "billing", "clerk", "langgraph", "", processor, "1")


def told(run: str, finding: Finding, escalates: bool = True) -> list[Outgoing]:
    """Give what a detector publishes of a finding: the detection, and the escalation where it is grey."""
    return published(subject_of(run, processor=finding.type), finding, escalates)


def grey_run(run: str, texts: Sequence[str] = AGAIN) -> list[Outgoing]:
    """Make a whole run with one grey repetition."""
    return [steps_record(saying_steps(run, texts)), *told(run, repetition_of(run, len(texts)))]


def derailed_run(run: str, task: str, *outputs: str) -> list[Outgoing]:
    """Make a run with a task, whose answers a detector takes for another subject."""
    asked = Step(TENANT, run, run, span(9), AGENT, BEGIN_NS - 1, BEGIN_NS, agent="clerk", input_text=task, is_root=True)
    first = SpanRef(run, span(9))
    finding = repetition_of(run, 1, type="derailment", first=first, spans=(first, SpanRef(run, span(1))), evidence={})
    return [steps_record([asked, *saying_steps(run, outputs)]), *told(run, finding)]


def escalated_document(record: Outgoing) -> dict[str, Any]:
    """Read the detection that an escalation carries."""
    document: dict[str, Any] = msgspec.msgpack.decode(record.value)[1]
    return document
