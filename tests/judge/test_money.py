"""Hard budgets: what is set aside, given back and refused; and that no crash anywhere lets them be exceeded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from courtroom import Courtroom
from escalated_runs import id_of, trace
from hypothesis import given, settings
from hypothesis import strategies as st
from judged_runs import finding_of, grey_run
from memory_state import MemoryState
from messages_server import MessagesServer, Reply, always, quote_of, verdict

from processors.judging.config import JudgeBudgets
from processors.judging.ledger import DAY_NS, HOUR_NS, UNSETTLED_NS, Ledger
from schemas.judge import MICRO, RUN, TENANT_DAY, TENANT_HOUR, Reserve, Settle

Court = Callable[..., Courtroom]
LIMITS = {RUN: 100, TENANT_HOUR: 250, TENANT_DAY: 400}
NOW_NS = 1_000 * DAY_NS


def id_in(run: str) -> str:
    return id_of(run, finding_of(run, 2))


def results(number: int) -> list[str]:
    """Texts that no other run shows, so that no answer is remembered for it."""
    return [f"No flights found, says airline {number}.", f"No flights found, says agency {number}."]


def billed_micro_usd(api: MessagesServer) -> float:
    """Say what the API billed, by the prices of the small model."""
    return float(sum(bill["input_tokens"] * 0.1 + bill["output_tokens"] * 0.5 for bill in api.billed))


# --- the owner ---


class Owner:
    def __init__(self) -> None:
        self.state = MemoryState()

    def reserve(self, id_: str, micro_usd: int, run: str = "r", tenant: str = "t", at_ns: int = NOW_NS) -> str:
        ledger = Ledger(LIMITS, self.state)
        spent = ledger.reserve(Reserve(id_, tenant, run, "case", micro_usd), at_ns)
        self.state.apply(ledger.changes(at_ns))
        return spent

    def settle(self, id_: str, micro_usd: int, tenant: str = "t", at_ns: int = NOW_NS) -> int:
        ledger = Ledger(LIMITS, self.state)
        over = ledger.settle(Settle(id_, tenant, micro_usd), at_ns)
        self.state.apply(ledger.changes(at_ns))
        return over


def test_what_is_set_aside_counts_as_spent_until_the_rest_is_given_back() -> None:
    owner = Owner()
    assert owner.reserve("1", 60) == ""
    assert owner.reserve("2", 60) == RUN
    owner.settle("1", 10)
    assert owner.reserve("3", 90) == ""
    assert owner.reserve("4", 1) == RUN


def test_the_budget_that_is_spent_is_named() -> None:
    owner = Owner()
    assert [owner.reserve(run, 100, run) for run in "abc"] == ["", "", TENANT_HOUR]
    later = NOW_NS + HOUR_NS
    assert [owner.reserve(run, 100, run, at_ns=later) for run in "de"] == ["", ""]
    assert owner.reserve("f", 100, "f", at_ns=later + HOUR_NS) == TENANT_DAY
    assert owner.reserve("f", 100, "f", at_ns=NOW_NS + DAY_NS) == ""


def test_one_tenant_does_not_spend_anothers_money() -> None:
    owner = Owner()
    assert owner.reserve("1", 100, tenant="a") == ""
    assert owner.reserve("1", 100, tenant="b") == ""


def test_asking_or_settling_again_changes_nothing() -> None:
    owner = Owner()
    assert [owner.reserve("1", 60), owner.reserve("1", 60)] == ["", ""]
    owner.settle("1", 20)
    owner.settle("1", 20)
    assert owner.reserve("2", 80) == ""
    assert owner.reserve("3", 1) == RUN


def test_what_is_never_settled_stays_spent() -> None:
    owner = Owner()
    owner.reserve("1", 100)
    late = NOW_NS + 2 * UNSETTLED_NS
    owner.reserve("other", 1, "other", at_ns=late)  # lets the row go
    owner.settle("1", 0, at_ns=late)
    assert owner.reserve("2", 1, at_ns=late) == RUN


def test_a_call_that_cost_more_than_was_set_aside_is_counted_in_full() -> None:
    owner = Owner()
    owner.reserve("1", 10)
    assert owner.settle("1", 95) == 85
    assert owner.reserve("2", 6) == RUN


actions = st.lists(
    st.tuples(st.sampled_from(["reserve", "settle"]), st.integers(0, 9), st.integers(0, 80), st.sampled_from("ab")),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(actions)
def test_whatever_is_asked_for_what_is_held_and_spent_stays_within_every_budget(
    asked: list[tuple[str, int, int, str]],
) -> None:
    owner = Owner()
    held: dict[str, tuple[int, str]] = {}
    spent = {"a": 0, "b": 0}
    for number, (action, which, micro_usd, run) in enumerate(asked):
        if action == "reserve":
            if owner.reserve(str(number), micro_usd, run) == "":
                held[str(number)] = (micro_usd, run)
        elif held:
            name = list(held)[which % len(held)]
            most, of = held.pop(name)
            owner.settle(name, min(most, micro_usd))
            spent[of] += min(most, micro_usd)
        for one in "ab":
            assert spent[one] + sum(most for most, of in held.values() if of == one) <= LIMITS[RUN]
        assert sum(spent.values()) + sum(most for most, _ in held.values()) <= LIMITS[TENANT_HOUR]


# --- the judge with it ---


def test_a_finding_there_is_no_money_for_is_published_as_it_was_and_marked_unjudged(
    court: Court, api: MessagesServer
) -> None:
    room = court(budgets=JudgeBudgets(run_usd=0.000001))
    room.publish(grey_run(trace(1)))
    room.settle()
    latest = room.latest(id_in(trace(1)))
    assert (latest["tier"], latest["confidence"], latest["status"]) == (3, 0.5, "open")
    assert latest["evidence"]["judge"]["ruling"] == "unjudged"
    assert latest["evidence"]["judge"]["why"] == "budget_run"
    assert api.requests == []


def test_money_is_set_aside_before_a_call_and_what_was_not_used_comes_back(court: Court, api: MessagesServer) -> None:
    room = court(budgets=JudgeBudgets(tenant_hour_usd=0.01))
    for number in range(12):  # each sets a third of the budget aside, and costs a sixtieth
        room.publish(grey_run(trace(number), results(number)))
        room.settle()
    assert len(api.billed) == 12


def test_by_default_a_run_can_have_one_finding_seen_by_every_model_with_a_full_window(
    court: Court, api: MessagesServer
) -> None:
    api.script = always("unclear", 0.9, input_tokens=5_000, output_tokens=800)
    room = court()
    room.publish(grey_run(trace(1), ["many words " * 800] * 30))
    room.settle()
    assert [request["model"] for request in api.requests] == room.config.models


def test_a_smaller_models_answer_stands_where_there_is_no_money_for_a_larger_one(
    court: Court, api: MessagesServer
) -> None:
    api.script = always("unclear", 0.9)
    room = court(budgets=JudgeBudgets(run_usd=0.01))
    room.publish(grey_run(trace(1)))
    room.settle()
    judge = room.latest(id_in(trace(1)))["evidence"]["judge"]
    assert [request["model"] for request in api.requests] == ["claude-haiku-5-5"]
    assert (judge["ruling"], judge["why"]) == ("unsure", "budget_run")


def test_the_bound_holds_for_texts_of_as_many_tokens_as_bytes(court: Court, api: MessagesServer) -> None:
    def dense(body: dict[str, Any]) -> Reply:
        return verdict(body, "no", 0.9, quote_of(body), input_tokens=len(str(body)), output_tokens=body["max_tokens"])

    api.script = dense
    room = court(budgets=JudgeBudgets(tenant_day_usd=0.02))
    room.publish([record for number in range(20) for record in grey_run(trace(number), results(number))])
    room.settle()
    assert api.billed
    assert billed_micro_usd(api) <= 0.02 * MICRO
    assert room.owner.stage.group == "judge_budget"


@pytest.mark.parametrize(("who", "committed"), [("judge", True), ("judge", False), ("owner", False), ("both", True)])
def test_killed_at_every_point_the_budget_is_never_exceeded(
    court: Court, api: MessagesServer, tmp_path: Path, who: str, *, committed: bool
) -> None:
    """At step n of the way one or both are killed, before or after they commit; for every n until all is done."""
    limit = 0.012
    for at in range(9):
        room = court(budgets=JudgeBudgets(tenant_day_usd=limit), concurrency=1)
        before = billed_micro_usd(api)
        room.publish([r for number in range(6) for r in grey_run(trace(number), results(number + 10 * at))])
        for _ in range(at):
            room.round()
            wait_for_call(room)
        members = {"judge": [room.judge], "owner": [room.owner], "both": [room.judge, room.owner]}[who]
        for member in members:
            commit = member.handle()
            if committed:
                commit()
            member.restart()
        room.settle()
        assert billed_micro_usd(api) - before <= limit * MICRO
        assert all(room.latest(id_in(trace(number)))["evidence"]["judge"] for number in range(6))


def wait_for_call(room: Courtroom) -> None:
    """Let a call end that a step began, so that the next step finds what it brought."""
    import time

    calls = room.judge.stage._calls  # type: ignore[attr-defined]
    deadline = time.monotonic() + 30
    while calls._under_way and calls._done.empty() and time.monotonic() < deadline:
        time.sleep(0.002)


def test_a_call_lost_by_a_crash_is_made_once_more_and_both_are_paid_from_the_budget(
    court: Court, api: MessagesServer
) -> None:
    room = court()
    room.publish(grey_run(trace(1)))
    room.until(lambda: bool(api.billed))
    room.judge.restart()
    room.settle()
    assert len(api.billed) == 2
    assert room.latest(id_in(trace(1)))["tier"] == 4


def test_a_repeat_after_a_commit_that_failed_finds_the_answer_that_was_paid_for(
    court: Court, api: MessagesServer
) -> None:
    room = court()
    room.publish(grey_run(trace(1)))
    room.until(lambda: bool(api.billed))
    room.judge.handle()  # its commit fails
    room.judge.consumer.rewind()
    room.judge.stage.restore(room.judge.consumer.state)
    room.settle()
    assert len(api.billed) == 1
    assert room.latest(id_in(trace(1)))["tier"] == 4
