"""An API that errs, is slow, away, or answers nonsense: what is asked again, what is paid, and that all goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from courtroom import Courtroom
from escalated_runs import id_of, trace
from judged_runs import finding_of, grey_run
from messages_server import MessagesServer, Reply, Script, always, error, message, pieces, quote_of, verdict

from processors.judging.calls import (
    ANSWERED,
    FAILURES_TO_OPEN,
    OPEN_SECONDS,
    UNAVAILABLE,
    Breaker,
    MessagesApi,
    Outcome,
)
from processors.judging.config import JudgeBudgets

Court = Callable[..., Courtroom]
RUN = trace(3)
ID = id_of(RUN, finding_of(RUN, 2))


def first(reply: Reply, then: Script) -> Script:
    """Answer once with something else."""
    left = [reply]
    return lambda body: left.pop() if left else then(body)


def judge(room: Courtroom) -> dict[str, Any]:
    """Have the finding judged and give what is told of it."""
    room.publish(grey_run(RUN))
    room.settle()
    return dict(room.latest(ID)["evidence"]["judge"])


@pytest.mark.parametrize("status", [429, 500, 502, 503, 529])
def test_an_error_that_passes_is_asked_again_under_the_same_money(
    court: Court, api: MessagesServer, status: int
) -> None:
    api.script = first(error(status), always("no", 0.9))
    room = court()
    assert judge(room)["ruling"] == "confirmed"
    assert len(api.requests) == 2
    assert len(room.bills()) == 1


def test_the_pause_that_the_api_asks_for_is_kept(court: Court, api: MessagesServer) -> None:
    api.script = first(error(429, retry_after="7"), always("no", 0.9))
    room = court()
    judge(room)
    assert room.pauses == [7.0]


def test_pauses_grow(court: Court, api: MessagesServer) -> None:
    api.script = lambda body: error(529)
    pauses: list[float] = []
    outcome = MessagesApi(court().config, pauses.append).call({"model": "m", "max_tokens": 1, "messages": []})
    assert (outcome.kind, outcome.detail) == (UNAVAILABLE, "529")
    assert pauses == [0.5, 1.0, 2.0]


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_is_not_asked_again_and_said(court: Court, api: MessagesServer, status: int) -> None:
    api.script = lambda body: error(status)
    room = court()
    assert judge(room)["why"] == f"refused_{status}"
    assert len(api.requests) == 1
    assert room.latest(ID)["confidence"] == 0.5


BROKEN = {
    "no json": Reply(200, b"<html>hello</html>"),
    "json that is no message": Reply(200, b"[1, 2]"),
    "no usage": Reply(200, b'{"type": "message", "content": []}'),
    "connection closed": Reply(cut=True),
    "too slow": Reply(200, b"{}", wait_seconds=2.0),
    "gateway gave up": Reply(504, b"{}"),
}


@pytest.mark.parametrize("reply", BROKEN.values(), ids=BROKEN)
def test_an_answer_that_never_came_may_have_been_billed_so_it_counts_as_spent(
    court: Court, api: MessagesServer, reply: Reply
) -> None:
    api.script = first(reply, always("no", 0.9))
    room = court(timeout_seconds=1.0, budgets=JudgeBudgets(run_usd=0.0025))
    told = judge(room)
    # The budget holds one call of the small model, whose bound is more than half of it.
    assert (told["ruling"], told["why"]) == ("unjudged", "budget_run")
    assert len(api.requests) == 1


def test_an_answer_that_never_came_is_asked_for_once_more(court: Court, api: MessagesServer) -> None:
    api.script = first(Reply(cut=True), always("no", 0.9))
    room = court()
    assert judge(room)["ruling"] == "confirmed"
    assert len(api.requests) == 2


def given(answer: dict[str, Any]) -> Script:
    """Answer with any input of the tool."""
    name = "record_verdict"
    return lambda body: message(
        body["model"], [{"type": "tool_use", "id": "t", "name": answer.get("_name", name), "input": answer}]
    )


GOOD = {"answer": "no", "confidence": 0.9, "evidence": [{"id": "s2", "quote": "No flights found"}], "reason": "Why."}
VOID = {
    "text instead of the tool": lambda body: message(body["model"], [{"type": "text", "text": "no"}], "end_turn"),
    "two calls": lambda body: message(
        body["model"], [{"type": "tool_use", "id": "t", "name": "record_verdict", "input": GOOD}] * 2
    ),
    "another tool": lambda body: message(
        body["model"], [{"type": "tool_use", "id": "t", "name": "run", "input": GOOD}]
    ),
    "cut off": lambda body: message(
        body["model"], [{"type": "tool_use", "id": "t", "name": "record_verdict", "input": GOOD}], "max_tokens"
    ),
    "no evidence": given({**GOOD, "evidence": []}),
    "a span that is not there": given({**GOOD, "evidence": [{"id": "s99", "quote": "No flights found"}]}),
    "a quote that is not there": given({**GOOD, "evidence": [{"id": "s2", "quote": "It works well"}]}),
    "a quote of another span": given({**GOOD, "evidence": [{"id": "s1", "quote": "No flights found"}]}),
    "a quote that stands everywhere": given({**GOOD, "evidence": [{"id": "s2", "quote": "o"}]}),
    "one false among good ones": given({**GOOD, "evidence": [*GOOD["evidence"], {"id": "s2", "quote": "made up"}]}),  # type: ignore[misc]
    "an answer there is not": given({**GOOD, "answer": "perhaps"}),
    "a confidence beyond one": given({**GOOD, "confidence": 7}),
    "a confidence in words": given({**GOOD, "confidence": "high"}),
    "a field too many": given({**GOOD, "note": "x"}),
    "a field too few": given({"answer": "no"}),
    "no object": given([]),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("script", [script for name, script in VOID.items() if name != "no object"])
def test_an_answer_that_does_not_hold_is_passed_over_for_the_next_models_and_paid(
    court: Court, api: MessagesServer, script: Script
) -> None:
    api.script = lambda body: script(body) if "haiku" in body["model"] else always("no", 0.9)(body)
    room = court()
    assert judge(room)["model"] == "claude-sonnet-5-5"
    assert len(room.bills()) == 2


def test_a_finding_no_model_answers_properly_on_is_told_as_unjudged(court: Court, api: MessagesServer) -> None:
    api.script = given({**GOOD, "evidence": []})
    room = court()
    told = judge(room)
    assert (told["ruling"], told["why"]) == ("unjudged", "discarded")
    assert room.latest(ID)["cost_usd"] > 0


def test_an_answer_in_the_right_form_counts_as_the_good_case_of_these(court: Court, api: MessagesServer) -> None:
    api.script = given(GOOD)
    assert judge(court())["model"] == "claude-haiku-5-5"


def test_a_key_and_the_fixed_part_marked_for_the_cache_are_sent(court: Court, api: MessagesServer) -> None:
    judge(court())
    assert api.headers[0]["authorization"] == "Bearer sk-test"
    body = api.requests[0]
    assert body["system"][-1]["cache_control"] == {"type": "ephemeral"}
    assert body["tools"][0]["strict"] is True
    assert "stream" not in body


def test_the_fixed_part_is_the_same_for_every_run(court: Court, api: MessagesServer) -> None:
    room = court()
    room.publish([*grey_run(trace(1), ["aaaa", "bbbb"]), *grey_run(trace(2), ["cccc", "dddd"])])
    room.settle()
    one, other = api.requests
    assert (one["system"], one["tools"]) == (other["system"], other["tools"])
    assert one["messages"] != other["messages"]


def test_no_more_calls_are_made_at_once_than_allowed(court: Court, api: MessagesServer) -> None:
    running, most = [0], [0]

    def slow(body: dict[str, Any]) -> Reply:
        running[0] += 1
        most[0] = max(most[0], running[0])
        import time

        time.sleep(0.05)
        running[0] -= 1
        return verdict(body, "no", 0.9, quote_of(body))

    api.script = slow
    room = court(concurrency=2)
    room.publish([record for number in range(8) for record in grey_run(trace(number), [f"one {number}", "none"])])
    room.settle()
    assert len(api.requests) == 8
    assert most[0] <= 2


def test_steps_of_other_runs_are_not_sent(court: Court, api: MessagesServer) -> None:
    room = court()
    room.publish(grey_run(trace(1), ["mine alone", "mine again"]))
    room.publish(grey_run(trace(2), ["theirs alone", "theirs again"]))
    room.settle()
    for body in api.requests:
        shown = json.dumps(pieces(body))
        assert ("mine" in shown) != ("theirs" in shown)


def test_a_breaker_opens_after_failures_in_a_row_and_then_lets_one_through_at_a_time() -> None:
    now = [100.0]
    breaker = Breaker(lambda: now[0])
    for _ in range(FAILURES_TO_OPEN):
        assert breaker.lets_through()
        breaker.saw(Outcome(UNAVAILABLE))
    assert not breaker.lets_through()
    now[0] += OPEN_SECONDS + 1
    assert breaker.lets_through()
    assert not breaker.lets_through()
    breaker.saw(Outcome(ANSWERED))
    assert breaker.lets_through()


def test_an_api_that_comes_back_is_used_again(court: Court, api: MessagesServer) -> None:
    left = [error(529)] * 8

    api.script = lambda body: left.pop() if left else always("no", 0.9)(body)
    assert judge(court())["ruling"] == "confirmed"


def test_with_nobody_listening_findings_are_told_and_steps_are_read_on(court: Court, api: MessagesServer) -> None:
    room = court(max_wait_seconds=3)
    api.close()
    assert judge(room)["why"] == "unavailable"
    assert room.bills() == []
    assert room.judge.consumer.lag()["agent_steps"] == 0
