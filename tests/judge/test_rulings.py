"""What becomes of grey findings: confirmed, withdrawn, still unsure; and what detectors say of them afterwards."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from courtroom import Courtroom
from escalated_runs import id_of, steps_record, trace
from judged_runs import finding_of, grey_run, steps_of, subject_of, told
from messages_server import MessagesServer, always, quote_of, verdict

from collector.bus.protocol import Outgoing
from processors.runs.publishing import detection_outgoing
from schemas.channels import json_schema
from schemas.detection import CLOSED, WITHDRAWN, Finding

RUN = trace(7)
FINDING = finding_of(RUN, 2)
ID = id_of(RUN, FINDING)
LATER = 10**13
"""A version that a detector issues long after the judge has ruled."""
Court = Callable[..., Courtroom]


def test_a_finding_that_a_model_confirms_is_published_at_tier_four_with_what_it_cost(
    court: Court, api: MessagesServer
) -> None:
    room = court()
    room.publish(grey_run(RUN))
    room.settle()
    judged = room.latest(ID)
    assert (judged["tier"], judged["status"], judged["confidence"], judged["confidence_tier"]) == (
        4,
        "open",
        0.9,
        "HIGH",
    )
    assert judged["cost_usd"] == pytest.approx(0.00015)  # 1,000 tokens in at $0.1, 100 out at $0.5 a million
    assert judged["evidence"]["judge"]["model"] == "claude-haiku-5-5"
    assert judged["evidence"]["judge"]["quotes"][0]["span_id"] == "0000000000000001"
    assert judged["evidence"]["repetitions"] == 2
    assert "Judged by claude-haiku-5-5: a failure." in judged["explanation"]
    assert len(api.requests) == 1


def test_what_is_published_obeys_the_schema_of_detections(court: Court) -> None:
    import jsonschema  # type: ignore[import-untyped]

    room = court()
    room.publish(grey_run(RUN))
    room.settle()
    for version in room.versions(ID):
        jsonschema.validate(version, json_schema("detection-1"))
    assert len(room.versions(ID)) == 2


def test_a_finding_judged_to_be_none_is_withdrawn_under_its_id(court: Court, api: MessagesServer) -> None:
    api.script = always("yes", 0.95)
    room = court()
    room.publish(grey_run(RUN))
    room.settle()
    assert (room.latest(ID)["status"], room.latest(ID)["tier"]) == (WITHDRAWN, 4)
    assert room.latest(ID)["confidence"] == pytest.approx(0.05)


def test_larger_models_are_asked_only_while_the_answer_is_unsure(court: Court, api: MessagesServer) -> None:
    sure = {"claude-haiku-5-5": 0.55, "claude-sonnet-5-5": 0.9}
    api.script = lambda body: verdict(body, "no", sure[body["model"]], quote_of(body))
    room = court()
    room.publish(grey_run(RUN))
    room.settle()
    assert [request["model"] for request in api.requests] == ["claude-haiku-5-5", "claude-sonnet-5-5"]
    assert room.latest(ID)["evidence"]["judge"]["model"] == "claude-sonnet-5-5"
    assert room.latest(ID)["cost_usd"] == pytest.approx(0.00015 + 0.003)


def test_what_stays_unsure_after_all_models_goes_to_people(court: Court, api: MessagesServer) -> None:
    api.script = always("unclear", 0.9)
    room = court()
    room.publish(grey_run(RUN))
    room.settle()
    assert [request["model"] for request in api.requests] == room.config.models
    assert room.latest(ID)["evidence"]["judge"]["ruling"] == "unsure"
    assert room.latest(ID)["confidence"] == 0.5
    assert len(room.for_people()) == 1


def test_a_call_is_billed_like_others_and_can_be_told_from_them(court: Court, api: MessagesServer) -> None:
    api.script = always("no", 0.9, cache_read_input_tokens=2000, cache_creation_input_tokens=500)
    room = court()
    room.publish(grey_run(RUN))
    room.settle()
    (bill,) = room.bills()
    assert (bill.tenant, bill.service, bill.agent, bill.run_id) == ("acme", "tracemend", "llm_judge", RUN)
    assert (bill.input, bill.output, bill.cache_read, bill.cache_write) == (3500, 100, 2000, 500)
    # 1,000 fresh at 0.1, 2,000 read at 0.01, 500 written at 0.125, 100 out at 0.5 (USD a million), in micro-USD, up
    assert bill.cost_usd == pytest.approx(233e-6)


def test_the_same_content_is_not_asked_about_twice(court: Court, api: MessagesServer) -> None:
    room = court()
    room.publish(grey_run(RUN))
    room.settle()
    room.judge.restart()
    room.publish(grey_run(trace(8)))
    room.settle()
    other = id_of(trace(8), finding_of(trace(8), 2))
    assert len(api.requests) == 1
    assert room.latest(other)["tier"] == 4
    assert room.latest(other)["cost_usd"] == 0


def test_a_tenant_learns_nothing_from_anothers_answers(court: Court, api: MessagesServer) -> None:
    room = court()
    room.publish([*grey_run(RUN, tenant="acme"), *grey_run(RUN, tenant="rival")])
    room.settle()
    assert len(api.requests) == 2


# --- what a detector says later ---


def test_a_detector_that_tells_the_same_episode_again_does_not_undo_a_ruling(court: Court, api: MessagesServer) -> None:
    api.script = always("yes", 0.95)
    room = court()
    room.publish(grey_run(RUN))
    room.settle()
    room.publish(told(RUN, finding_of(RUN, 2, status=CLOSED), escalates=False))
    room.publish(later(finding_of(RUN, 2, status=CLOSED)))
    room.settle()
    assert room.latest(ID)["status"] == WITHDRAWN
    assert room.latest(ID)["version"] > LATER
    assert len(api.requests) == 1


def later(finding: Finding, version: int = LATER) -> list[Outgoing]:
    """Give what a detector publishes long after the judge: a higher version than any so far."""
    return [detection_outgoing(subject_of(RUN), finding, version, 0)]


def test_a_confirmed_finding_that_its_detector_closes_is_closed_as_judged(court: Court) -> None:
    room = court()
    room.publish(grey_run(RUN))
    room.settle()
    room.publish(later(finding_of(RUN, 2, status=CLOSED)))
    room.settle()
    assert (room.latest(ID)["status"], room.latest(ID)["tier"], room.latest(ID)["confidence"]) == ("closed", 4, 0.9)


def test_a_detector_that_withdraws_its_finding_has_the_last_word(court: Court) -> None:
    room = court()
    room.publish(grey_run(RUN))
    room.settle()
    room.publish(later(finding_of(RUN, 2, confidence=0.0, status=WITHDRAWN)))
    room.settle()
    assert (room.latest(ID)["status"], room.latest(ID)["tier"]) == (WITHDRAWN, 3)
    room.publish(later(FINDING, version=LATER + 1))
    room.settle()
    assert (room.latest(ID)["status"], room.latest(ID)["tier"]) == ("open", 3)


def test_a_withdrawal_that_was_told_before_the_ruling_was_known_is_told_again_above_it(court: Court) -> None:
    room = court()
    room.publish(grey_run(RUN))
    room.settle()
    room.publish(told(RUN, finding_of(RUN, 2, confidence=0.0, status=WITHDRAWN), escalates=False))
    room.settle()
    assert (room.latest(ID)["status"], room.latest(ID)["tier"]) == (WITHDRAWN, 3)


def test_a_detector_that_has_become_sure_by_itself_is_believed_and_the_ruling_is_told_beside_it(
    court: Court, api: MessagesServer
) -> None:
    api.script = always("yes", 0.95)
    room = court()
    room.publish(grey_run(RUN))
    room.settle()
    room.publish(later(finding_of(RUN, 6, confidence=0.93)))
    room.settle()
    latest = room.latest(ID)
    assert (latest["status"], latest["tier"], latest["confidence"]) == ("open", 3, 0.93)
    assert latest["evidence"]["judge"]["ruling"] == "cleared"
    assert latest["evidence"]["judge"]["stands"] is False


def test_an_episode_that_goes_on_is_judged_anew_a_few_times_and_then_no_more(court: Court, api: MessagesServer) -> None:
    room = court()
    results = [f"No flights on day {day}." for day in range(8)]
    room.publish([steps_record(steps_of(RUN, results))])
    for count in range(2, 8):
        room.publish(told(RUN, finding_of(RUN, count)))
        room.settle()
    assert len(api.requests) == 3
    assert room.latest(ID)["tier"] == 4


def test_a_finding_withdrawn_while_it_is_judged_is_not_published_again(court: Court, api: MessagesServer) -> None:
    room = court()
    room.publish(grey_run(RUN))
    room.judge.step()
    room.publish(told(RUN, finding_of(RUN, 2, confidence=0.0, status=WITHDRAWN), escalates=False))
    room.settle()
    assert (room.latest(ID)["status"], room.latest(ID)["tier"]) == (WITHDRAWN, 3)
    assert len(room.versions(ID)) == 2
