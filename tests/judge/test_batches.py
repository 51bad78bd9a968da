"""What is not urgent goes in batches where they are on: half the price, found again after a restart."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from courtroom import Courtroom
from escalated_runs import id_of, steps_record, trace
from judged_runs import finding_of, grey_run, steps_of, told
from messages_server import MessagesServer, always, error, quote_of, verdict

Court = Callable[..., Courtroom]
RUN = trace(6)
ID = id_of(RUN, finding_of(RUN, 2))


def batched(court: Court, **settings: object) -> Courtroom:
    return court(batch=True, batch_poll_seconds=0.01, **settings)


def test_findings_that_are_not_urgent_are_handed_in_together_and_cost_half(court: Court, api: MessagesServer) -> None:
    room = batched(court)
    room.publish([r for number in range(5) for r in grey_run(trace(number), [f"none {number}", "nothing"])])
    room.settle()
    assert [len(requests) for requests in api.batches.values()] == [5]
    for number in range(5):
        judged = room.latest(id_of(trace(number), finding_of(trace(number), 2)))
        assert judged["evidence"]["judge"]["ruling"] == "confirmed"
        assert judged["cost_usd"] == pytest.approx(0.000075)
    assert sum(bill.cost_usd or 0 for bill in room.bills()) == pytest.approx(5 * 0.000075)


def test_findings_that_are_urgent_are_not(court: Court, api: MessagesServer) -> None:
    room = batched(court)
    finding = finding_of(RUN, 2, severity="high")
    room.publish([steps_record(steps_of(RUN, ["none", "nothing"])), *told(RUN, finding)])
    room.settle()
    assert api.batches == {}
    assert room.latest(ID)["evidence"]["judge"]["ruling"] == "confirmed"


def test_a_batch_is_found_again_after_a_restart_and_paid_once(court: Court, api: MessagesServer) -> None:
    api.looks_until_ended = 10**9
    room = batched(court)
    room.publish(grey_run(RUN))
    room.until(lambda: api.looks > 0)
    room.judge.restart()
    seen = api.looks
    room.until(lambda: api.looks > seen)
    api.looks_until_ended = 0
    room.settle()
    assert len(api.batches) == 1
    assert len(room.bills()) == 1
    assert room.latest(ID)["evidence"]["judge"]["ruling"] == "confirmed"


def test_a_case_that_waits_for_a_batch_keeps_nobody_from_stopping(court: Court, api: MessagesServer) -> None:
    api.looks_until_ended = 10**9
    room = batched(court)
    room.publish(grey_run(RUN))
    room.until(lambda: api.looks > 0)
    room.round()
    room.round()
    assert room.judge.stage.busy is False  # type: ignore[attr-defined]
    api.looks_until_ended = 0
    time.sleep(0.05)
    room.settle()


def test_a_request_that_failed_in_its_batch_is_not_billed_and_asked_again(court: Court, api: MessagesServer) -> None:
    left = [error(529, "overloaded_error")]
    api.script = lambda body: left.pop() if left else always("no", 0.9)(body)
    room = batched(court)
    room.publish(grey_run(RUN))
    room.settle()
    assert len(api.batches) == 2
    assert len(room.bills()) == 1


def test_a_larger_model_is_asked_in_a_batch_of_its_own(court: Court, api: MessagesServer) -> None:
    sure = {"claude-haiku-5-5": 0.5, "claude-sonnet-5-5": 0.95}
    api.script = lambda body: verdict(body, "no", sure[body["model"]], quote_of(body))
    room = batched(court)
    room.publish(grey_run(RUN))
    room.settle()
    assert [requests[0]["params"]["model"] for requests in api.batches.values()] == list(sure)
    assert room.latest(ID)["evidence"]["judge"]["model"] == "claude-sonnet-5-5"
