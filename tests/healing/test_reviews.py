"""Review requests: who is asked about what and how often, what an answer becomes, and what it never does."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import orjson
from healing_world import detection
from memory_state import MemoryState

from collector.bus.protocol import Batch, Outgoing, Record, Stage
from healing.approvals import approve, reject
from healing.consumer import HealingConsumer
from healing.gate import GateSettings
from healing.review_answers import ReviewAnswers
from healing.review_requests import HOUR_NS, ReviewRequests
from schemas.healing import REVIEW, Approval, decode
from schemas.people import read_feedback
from schemas.topics import APPROVALS, DETECTIONS, FEEDBACK

NOW_NS = time.time_ns() // HOUR_NS * HOUR_NS
LOOP, JUDGE = b"tracemend/loop", b"tracemend/llm_judge"


class Desk:
    """A stage with its state, driven by hand."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.state = stage, MemoryState()

    def told(self, *records: Record, now_ns: int = NOW_NS) -> list[Outgoing]:
        handled = self.stage.handle(Batch(records, now_ns), self.state)
        self.state.apply(handled.changes)
        return list(handled.outputs)


def seen(source: bytes = LOOP, at_ns: int = NOW_NS, **fields: Any) -> Record:
    document = detection(NOW_NS, **fields)
    headers = {"tenant": document["tenant"].encode(), "ce_source": source}
    return Record(DETECTIONS, 0, 0, "", orjson.dumps(document), headers, at_ns)


def back(out: Outgoing) -> Record:
    return Record(out.topic, 0, 0, out.key, out.value, out.headers, NOW_NS)


def asked(outputs: list[Outgoing]) -> list[Approval]:
    assert {out.topic for out in outputs} <= {APPROVALS}
    return [decode(Approval, out.value) for out in outputs]


def desk(per_hour: int = 20, is_judged: bool = False) -> Desk:
    return Desk(ReviewRequests(per_hour, is_judged))


GREY: dict[str, Any] = {"confidence": 0.5, "severity": "medium"}


def test_without_a_judge_a_grey_detection_is_asked_about_once_it_is_over() -> None:
    here = desk()
    assert not here.told(seen(**GREY, status="open", version=1))
    (question,) = asked(here.told(seen(**GREY, status="closed", version=2)))
    assert (question.kind, question.event, question.fix_type) == (REVIEW, "requested", "")
    assert question.hand_off is not None
    assert not question.hand_off.applies_on_approval
    assert not here.told(seen(**GREY, status="closed", version=3))


def test_with_a_judge_only_what_it_leaves_grey_is_asked_about() -> None:
    here = desk(is_judged=True)
    assert not here.told(seen(**GREY, status="closed", version=1))
    assert len(asked(here.told(seen(JUDGE, **GREY, status="open", version=2)))) == 1


def test_a_critical_detection_is_asked_about_at_once_unless_it_is_sure() -> None:
    critical: dict[str, Any] = {"severity": "critical", "status": "open"}
    assert len(asked(desk(is_judged=True).told(seen(**critical, confidence=0.89)))) == 1
    assert not desk().told(seen(**critical, confidence=0.9))
    assert not desk().told(seen(severity="high", status="closed", confidence=0.89))
    assert not desk().told(seen(severity="critical", status="withdrawn", confidence=0.5))


def test_a_question_is_taken_back_once_when_it_settles_itself() -> None:
    here = desk()
    (question,) = asked(here.told(seen(**GREY, status="closed", version=2)))
    (past,) = asked(here.told(seen(confidence=0.0, severity="info", status="withdrawn", version=3)))
    assert (past.event, past.healing_id) == ("expired", question.healing_id)
    assert not here.told(seen(confidence=0.0, severity="info", status="withdrawn", version=4))


def test_a_tenant_is_asked_only_so_often_an_hour_and_nobody_about_old_ones() -> None:
    here = desk(per_hour=2)
    many = [seen(**GREY, status="closed", id=f"d{number}") for number in range(5)]
    assert len(asked(here.told(*many[:3]))) == 2
    assert not here.told(many[3])
    assert len(asked(here.told(many[4], now_ns=NOW_NS + HOUR_NS))) == 1
    assert not desk().told(seen(**GREY, status="closed", at_ns=NOW_NS - 25 * HOUR_NS))


def test_an_answer_becomes_a_verdict_and_nothing_else() -> None:
    for give, verdict in ((approve, "correct"), (reject, "wrong")):
        here, healer = Desk(ReviewAnswers()), Desk(HealingConsumer(GateSettings()))
        (question,) = desk().told(seen(**GREY, status="closed", framework="langgraph"))
        assert not here.told(back(question))
        answer = give(decode(Approval, question.value), "ada", "looked", NOW_NS + 1)
        (said,) = here.told(back(answer))
        read = read_feedback(said.value)
        assert said.topic == FEEDBACK
        assert (read.verdict, read.who, read.note, read.framework) == (verdict, "ada", "looked", "langgraph")
        assert (read.confidence, read.found_confidence) == (0.5, 0.5)
        assert not here.told(back(answer))
        assert not healer.told(back(question), back(answer))
        assert not healer.state.rows


def test_what_the_detector_found_is_judged_not_what_the_judge_made_of_it() -> None:
    evidence = {"judge": {"ruling": "unsure", "found_confidence": 0.4}}
    (question,) = desk(is_judged=True).told(seen(JUDGE, **GREY, status="closed", evidence=evidence))
    assert decode(Approval, question.value).parameters["found_confidence"] == 0.4


def test_what_nobody_answers_expires() -> None:
    here = Desk(ReviewAnswers())
    (question,) = desk().told(seen(**GREY, status="closed"))
    here.told(back(question))
    assert not here.told(now_ns=NOW_NS + 23 * HOUR_NS)
    (past,) = asked(here.told(now_ns=NOW_NS + 24 * HOUR_NS))
    assert (past.event, past.kind) == ("expired", REVIEW)
    answer = approve(msgspec.structs.replace(past, event="requested"), "ada", "", NOW_NS)
    assert not here.told(back(answer))
