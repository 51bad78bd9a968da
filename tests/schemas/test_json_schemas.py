"""The published JSON Schemas say what is on the topics, examples and all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # its stubs are a package of their own

import schemas
from processors.runs.publishing import Subject, document_of
from schemas.detection import Finding, Fix
from schemas.healing import (
    Approval,
    Document,
    HandOff,
    HealingRequest,
    Outcome,
    Place,
    Policy,
    PolicyFigures,
    ProposedFix,
    Rule,
    SeenDetection,
    UnreadableDocument,
    decode,
    encode,
)
from schemas.step import SpanRef

FOLDER = Path(schemas.__file__).parent / "json"
AT = "2026-11-20T10:00:00.123456789Z"

# The detection that the contract shows, word for word.
CONTRACT = """
{
  "schema": "tracemend.detection/1",
  "id": "hex, the same whenever the same spans are processed again",
  "type": "loop",
  "processor": "loop", "processor_version": "1",
  "tier": 1,
  "confidence": 0.93, "confidence_tier": "HIGH",
  "severity": "high", "score": 74,
  "tenant": "default", "service": "trip-planner", "agent": "researcher", "framework": "langgraph",
  "status": "open", "version": 3,
  "trace_id": "32 hex", "run_id": "the trace id for most", "conversation_id": null, "replaces": null,
  "span_ids": ["16 hex, first span of the evidence", "...", "16 hex, the span that crossed the line"],
  "spans": [{"trace_id": "32 hex", "span_id": "16 hex"}],
  "title": "researcher called search_flights 5 times with the same arguments",
  "explanation": "What happened, in words an on-call engineer can act on.",
  "evidence": {"repetitions": 5, "period": 1, "first_index": 12, "last_index": 16},
  "suggested_fix": {"fix_type": "circuit_breaker", "risk": "SAFE", "parameters": {"tool": "search_flights", "max_repeats": 3}, "description": "..."},
  "event_time": "2026-11-20T10:00:00.123456789Z", "detected_at": "2026-11-20T10:00:00.412Z",
  "cost_usd": 0.0
}
"""  # noqa: E501

SEEN = SeenDetection(
    id="d1",
    version=3,
    type="loop",
    status="open",
    confidence=0.93,
    severity="high",
    title="t",
    explanation="e",
    run_id="r",
    trace_id="0" * 32,
    event_time=AT,
    spans=(Place("0" * 32, "0" * 16),),
    evidence={"repetitions": 5},
)
FIX = ProposedFix("loop_breaker", {"max_repeats": 3}, "stop")
REQUEST = HealingRequest(
    id="h1", action="propose", tenant="default", service=None, agent=None, detection=SEEN, fix=FIX, risk="SAFE", at=AT
)
HAND_OFF = HandOff(
    who="ann of shop",
    title="t",
    explanation="e",
    evidence={},
    run_id="r",
    trace_id="t",
    spans=(),
    recommended_rollback="none",
    applies_on_approval=True,
    deadline=AT,
)
APPROVAL = Approval(
    id="h1.requested.3",
    healing_id="h1",
    event="requested",
    kind="approval",
    tenant="default",
    service=None,
    agent=None,
    detection_id="d1",
    detection_version=3,
    detection_type="loop",
    detection_title="t",
    fix_type="context_pruning",
    risk="MEDIUM",
    parameters={},
    reason="asked",
    who=None,
    note=None,
    at=AT,
    deadline=AT,
    hand_off=HAND_OFF,
)
RULE = Rule(
    id="r1",
    fix_type="loop_breaker",
    parameters={"max_repeats": 3},
    scope="run",
    run_id="r",
    expires_at=AT,
    detection_ids=("d1",),
)
POLICY = Policy(tenant="default", service="shop", agent="", version=1, at=AT, rules=(RULE,))
OUTCOME = Outcome(
    id="h1.applied.3",
    healing_id="h1",
    event="applied",
    tenant="default",
    service="shop",
    agent=None,
    detection_id="d1",
    detection_version=3,
    detection_type="loop",
    run_id="r",
    fix_type="loop_breaker",
    risk="SAFE",
    parameters={"max_repeats": 3},
    scope="run",
    rule_id="r1",
    reason="fresh",
    by=None,
    at=AT,
    before=PolicyFigures(0, 0),
    after=PolicyFigures(1, 1),
    checkpoint=POLICY,
)
DOCUMENTS: dict[str, Document] = {
    "healing": REQUEST,
    "approval": APPROVAL,
    "outcome": OUTCOME,
    "policy": POLICY,
}


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(orjson.loads((FOLDER / f"{name}-1.json").read_bytes()))


def test_the_contracts_detection_is_valid_word_for_word() -> None:
    validator("detection").validate(orjson.loads(CONTRACT))


@pytest.mark.parametrize("field", ["service", "agent", "framework", "conversation_id", "replaces", "suggested_fix"])
def test_what_may_be_null_in_a_detection_may_be_null(field: str) -> None:
    validator("detection").validate({**orjson.loads(CONTRACT), field: None})


@pytest.mark.parametrize("field", sorted(orjson.loads(CONTRACT)))
def test_every_field_of_a_detection_is_there_and_of_its_type(field: str) -> None:
    document = orjson.loads(CONTRACT)
    assert not validator("detection").is_valid({**document, field: [None]})
    del document[field]
    assert not validator("detection").is_valid(document)


@pytest.mark.parametrize("fix", [None, Fix("loop_breaker", "stop", {"max_repeats": 3})])
def test_what_processors_publish_is_a_valid_detection(fix: Fix | None) -> None:
    span = SpanRef("0" * 32, "0" * 16)
    finding = Finding("loop", "f", span, (span,), "open", 1, 0.9, "high", 74, "{agent}", "why", {}, 1, fix)
    document = document_of(Subject("default", "r", "", "", "", "", "loop", "1"), finding, 1, 1, None)
    validator("detection").validate(document)
    assert list(document) == list(orjson.loads(CONTRACT))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.name)
def test_every_schema_is_one(path: Path) -> None:
    Draft202012Validator.check_schema(orjson.loads(path.read_bytes()))


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_what_healing_writes_is_valid_and_reads_back(name: str) -> None:
    document = DOCUMENTS[name]
    value = encode(document)
    validator(name).validate(orjson.loads(value))
    assert decode(type(document), value) == document


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_reader_and_schema_refuse_the_same_broken_documents(name: str) -> None:
    document = orjson.loads(encode(DOCUMENTS[name]))
    for field in document:
        broken = {**document, field: [None]}
        assert not validator(name).is_valid(broken)
        with pytest.raises(UnreadableDocument):
            decode(type(DOCUMENTS[name]), orjson.dumps(broken))


def test_an_answer_without_a_name_is_no_valid_answer() -> None:
    document: dict[str, Any] = orjson.loads(encode(APPROVAL))
    assert not validator("approval").is_valid({**document, "event": "approved"})
    assert validator("approval").is_valid({**document, "event": "approved", "who": "ann", "hand_off": None})


@given(st.sampled_from(sorted(DOCUMENTS)), st.binary(max_size=200))
def test_any_bytes_are_refused_by_name(name: str, value: bytes) -> None:
    with pytest.raises(UnreadableDocument):
        decode(type(DOCUMENTS[name]), value)
