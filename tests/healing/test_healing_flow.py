"""From a detection to a guard policy, and back."""

from __future__ import annotations

from typing import Any

import pytest
from healing_world import START_NS, World, detection, fix

from collector.bus.protocol import Outgoing
from healing.approvals import approve, reject
from healing.gate import GateSettings
from schemas.healing import Approval, decode
from schemas.topics import APPROVALS, DEAD_LETTERS, HEALING, HEALING_OUTCOMES, POLICIES

HOUR = 3_600.0


def question(world: World) -> Approval:
    asked = [out for out in world.said if out.topic == APPROVALS and b'"event":"requested"' in out.value]
    return decode(Approval, asked[-1].value)


def test_a_safe_fix_applies_by_itself_and_is_told_with_a_checkpoint() -> None:
    world = World()
    world.detect(detection())
    (applied,) = world.outcomes("applied")
    assert applied["checkpoint"] == {
        "schema": "tracemend.policy/1",
        "tenant": "default",
        "service": "trip-planner",
        "agent": "researcher",
        "version": 0,
        "at": "1970-01-01T00:00:00.000000000Z",
        "rules": [],
    }
    (rule,) = world.policy("researcher")["rules"]
    assert (rule["fix_type"], rule["scope"], rule["run_id"]) == ("circuit_breaker", "agent", None)
    assert rule["parameters"] == {"tool": "search_flights", "max_repeats": 3}
    assert applied["rule_id"] == rule["id"]
    assert world.approvals("requested") == []


def test_everything_stands_under_the_key_of_tenant_service_and_agent() -> None:
    world = World()
    world.detect(detection(), detection(id="d2", suggested_fix=fix("permission_gate", tools=["rm"])))
    assert {out.key for out in world.said} == {"default/trip-planner/researcher"}
    assert {out.topic for out in world.said} == {HEALING, APPROVALS, HEALING_OUTCOMES, POLICIES}


def test_the_same_version_again_changes_nothing_and_newer_ones_apply_nothing_twice() -> None:
    world = World()
    world.detect(detection())
    said = len(world.said)
    world.detect(detection())
    assert len(world.said) == said
    world.hand_over([out for out in world.said if out.topic == HEALING])
    world.detect(detection(version=2, evidence={"repetitions": 6}), detection(version=3, status="closed"))
    assert len(world.outcomes("applied")) == 1
    assert len(world.documents(POLICIES)) == 1


def test_a_withdrawn_detection_takes_its_rule_back_and_leaves_the_others() -> None:
    world = World()
    world.detect(detection(), detection(id="d2", suggested_fix=fix("loop_breaker", max_repeats=3)))
    world.detect(detection(version=2, status="withdrawn", suggested_fix=None, evidence={}))
    (rolled_back,) = world.outcomes("rolled_back")
    assert (rolled_back["before"]["rules"], rolled_back["after"]["rules"]) == (2, 1)
    assert [rule["fix_type"] for rule in world.policy("researcher")["rules"]] == ["loop_breaker"]
    world.detect(detection(version=3))
    assert len(world.outcomes("applied")) == 2


def test_a_rule_two_detections_asked_for_stays_until_both_are_withdrawn() -> None:
    world = World()
    world.detect(detection(), detection(id="d2"))
    assert world.policy("researcher")["rules"][0]["detection_ids"] == ["d1", "d2"]
    world.detect(detection(version=2, status="withdrawn", suggested_fix=None))
    assert world.policy("researcher")["rules"][0]["detection_ids"] == ["d2"]
    world.detect(detection(id="d2", version=2, status="withdrawn", suggested_fix=None))
    assert world.policy("researcher")["rules"] == []
    versions = [policy["version"] for policy in world.documents(POLICIES)]
    assert versions == sorted(set(versions))


def test_a_withdrawal_that_overtakes_its_request_leaves_nothing_to_apply() -> None:
    world, other = World(), World()
    world.detect(detection())
    world.detect(detection(version=2, status="withdrawn", suggested_fix=None))
    first, second = (out for out in world.said if out.topic == HEALING)
    other.hand_over([second, first])
    assert other.outcomes("applied") == []


def test_without_an_agents_name_a_rule_binds_the_run_until_the_name_is_known() -> None:
    world = World()
    world.detect(detection(agent=None))
    (rule,) = world.policy("")["rules"]
    assert (rule["scope"], rule["run_id"]) == ("run", "0" * 32)
    world.detect(detection(version=2, status="closed"))
    assert world.policy("")["rules"] == []
    (rule,) = world.policy("researcher")["rules"]
    assert (rule["scope"], rule["run_id"]) == ("agent", None)
    world.detect(detection(version=3, status="withdrawn", suggested_fix=None))
    assert world.policy("researcher")["rules"] == []
    assert len(world.outcomes("rolled_back")) == 1


def test_a_question_moves_to_the_agent_whose_name_has_become_known() -> None:
    world = World()
    asks = fix("context_pruning", target_tokens=1_000)
    world.detect(detection(agent=None, suggested_fix=asks))
    early = question(world)
    world.detect(detection(version=2, suggested_fix=asks))
    assert [asked["agent"] for asked in world.approvals("requested")] == [None, "researcher"]
    world.hand_over([approve(early, "ann", "asked before the name was known", world.now_ns)])
    assert [applied["agent"] for applied in world.outcomes("applied")] == ["researcher"]


def test_a_budget_of_one_run_is_never_widened() -> None:
    world = World()
    limit = fix("budget_limiter", max_usd=1.5, scope="run")
    world.detect(detection(agent=None, suggested_fix=limit))
    world.detect(detection(version=2, suggested_fix=limit))
    assert [rule["scope"] for rule in world.policy("")["rules"]] == ["run"]
    assert world.documents(POLICIES, agent="researcher") == []


def test_a_service_scoped_fix_without_an_agent_binds_the_service() -> None:
    world = World()
    world.detect(detection(agent=None, suggested_fix=fix("cost_monitor", budget_usd=5.0, scope="tenant")))
    assert [rule["scope"] for rule in world.policy("")["rules"]] == ["service"]


def test_rules_leave_when_their_time_is_over() -> None:
    world = World()
    world.detect(detection(agent=None))
    world.wait(25 * HOUR)
    assert world.policy("")["rules"] == []
    assert world.consumer_state.count("policies") == 0


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"confidence": 0.79}, "suggestion"),
        ({"status": "closed"}, "suggestion"),
        ({"event_time": "2026-01-01T00:00:00Z"}, "suggestion"),
        ({"event_time": "2027-01-01T00:00:00Z"}, "suggestion"),
        ({"service": None}, "suggestion"),
        ({"type": "approval_bypass"}, "approval"),
        ({"type": "role_usurpation_exec"}, "approval"),
        ({"suggested_fix": fix("exponential_backoff", tool="t", base_seconds=1)}, "approval"),
        ({"suggested_fix": fix("emergency_stop")}, "approval"),
        ({"suggested_fix": fix("checkpoint_recovery")}, "approval"),
        ({"suggested_fix": fix("reboot_everything")}, "approval"),
    ],
)
def test_what_is_not_safe_confident_and_fresh_is_asked_for(fields: dict[str, Any], kind: str) -> None:
    world = World()
    world.detect(detection(**fields))
    (asked,) = world.approvals("requested")
    assert asked["kind"] == kind
    assert asked["hand_off"]["evidence"] == {"repetitions": 5}
    assert world.outcomes("applied") == []


def test_a_suggestion_applies_by_itself_once_it_is_confident_enough() -> None:
    world = World()
    world.detect(detection(confidence=0.6))
    world.detect(detection(confidence=0.9, version=2))
    assert len(world.outcomes("applied")) == 1
    assert [gone["reason"] for gone in world.approvals("expired")] == ["It applied by itself."]


def test_a_dry_run_suggests_and_applies_nothing_not_even_when_approved() -> None:
    world = World(GateSettings(dry_run=True))
    world.detect(detection())
    asked = question(world)
    assert asked.hand_off is not None
    assert not asked.hand_off.applies_on_approval
    world.hand_over([approve(asked, "ann", "", world.now_ns)])
    assert world.documents(POLICIES) == []


def test_parameters_a_guard_must_not_obey_are_refused_once() -> None:
    world = World()
    world.detect(detection(suggested_fix=fix("circuit_breaker", tool="t", max_repeats=-1)))
    world.detect(detection(version=2, suggested_fix=fix("circuit_breaker", tool="t", max_repeats="3")))
    assert [failed["risk"] for failed in world.outcomes("failed")] == ["SAFE"]
    assert world.documents(POLICIES) == []


def test_an_approved_fix_applies_once_and_says_who_approved_it() -> None:
    world = World()
    world.detect(detection(suggested_fix=fix("context_pruning", target_tokens=1_000)))
    answer = approve(question(world), "ann", "go", world.now_ns)
    world.hand_over([answer, answer])
    (applied,) = world.outcomes("applied")
    assert (applied["by"], applied["risk"]) == ("ann", "MEDIUM")
    assert [rule["fix_type"] for rule in world.policy("researcher")["rules"]] == ["context_pruning"]


def test_an_approved_fix_is_taken_back_too_when_its_detection_is_withdrawn() -> None:
    world = World()
    world.detect(detection(suggested_fix=fix("context_pruning", target_tokens=1_000)))
    world.hand_over([approve(question(world), "ann", "", world.now_ns)])
    world.detect(detection(version=2, status="withdrawn", suggested_fix=None))
    assert world.policy("researcher")["rules"] == []


def test_approving_a_governance_detection_records_it_and_applies_nothing() -> None:
    world = World()
    world.detect(detection(type="reward_hacking"))
    world.hand_over([approve(question(world), "ann", "I did it by hand", world.now_ns)])
    assert world.outcomes("applied") == []
    assert world.documents(POLICIES) == []


def test_a_rejected_fix_stays_rejected() -> None:
    world = World()
    world.detect(detection(suggested_fix=fix("context_pruning", target_tokens=1_000)))
    asked = question(world)
    world.hand_over([reject(asked, "bob", "no", world.now_ns)])
    world.hand_over([approve(asked, "ann", "yes", world.now_ns)])
    assert world.outcomes("applied") == []


def test_a_question_expires_in_bus_time_and_can_no_longer_be_answered() -> None:
    world = World()
    world.detect(detection(suggested_fix=fix("context_pruning", target_tokens=1_000)))
    world.wait(25 * HOUR)
    assert [gone["reason"] for gone in world.approvals("expired")] == ["Nobody answered in time."]
    world.hand_over([approve(question(world), "ann", "late", world.now_ns)])
    assert world.outcomes("applied") == []


def test_an_answer_that_comes_between_deadline_and_tick_is_too_late() -> None:
    world = World()
    world.detect(detection(suggested_fix=fix("context_pruning", target_tokens=1_000)))
    world.now_ns += 25 * 3_600 * 1_000_000_000
    world.hand_over([approve(question(world), "ann", "late", world.now_ns)])
    assert world.outcomes("applied") == []
    assert len(world.approvals("expired")) == 1


def test_withdrawing_a_detection_closes_its_question() -> None:
    world = World()
    world.detect(detection(suggested_fix=fix("context_pruning", target_tokens=1_000)))
    world.detect(detection(version=2, status="withdrawn", suggested_fix=None))
    assert [gone["reason"] for gone in world.approvals("expired")] == ["The detection was withdrawn."]


def test_a_tenant_cannot_heal_another_tenants_agents() -> None:
    world = World()
    world.detect(detection(tenant="rich"), tenant="poor")
    assert [out.topic for out in world.said] == [DEAD_LETTERS]
    request = Outgoing(HEALING, "rich/trip-planner/researcher", b"{}", {"tenant": b"poor"})
    world.hand_over([request])
    assert [out.topic for out in world.said] == [DEAD_LETTERS, DEAD_LETTERS]


def test_answers_of_another_tenant_are_dead_letters() -> None:
    world = World()
    world.detect(detection(suggested_fix=fix("context_pruning", target_tokens=1_000)))
    forged = approve(question(world), "eve", "", world.now_ns)._replace(headers={"tenant": b"poor"})
    world.hand_over([forged])
    assert world.outcomes("applied") == []
    assert world.said[-1].topic == DEAD_LETTERS


def test_an_answer_says_who_gives_it() -> None:
    world = World()
    world.detect(detection(suggested_fix=fix("context_pruning", target_tokens=1_000)))
    with pytest.raises(ValueError, match="who"):
        approve(question(world), " ", "", world.now_ns)


def test_detections_without_a_fix_ask_for_nothing() -> None:
    world = World()
    world.detect(detection(suggested_fix=None), detection(id="d2", suggested_fix=None, status="withdrawn"))
    assert world.said == []


def test_what_healing_remembers_is_bounded() -> None:
    world = World(healings=5, policies=3)
    asks = fix("context_pruning", target_tokens=1_000)
    world.detect(*(detection(id=f"q{n}", agent=f"a{n}", suggested_fix=asks) for n in range(20)))
    world.detect(*(detection(id=f"d{n}", agent=f"a{n}") for n in range(20)))
    assert world.consumer_state.count("healings") <= 5
    assert world.consumer_state.count("policies") <= 3
    assert len(world.approvals("expired")) >= 15
    emptied = [policy for policy in world.documents(POLICIES) if not policy["rules"]]
    assert len(emptied) == 17


def test_a_full_policy_makes_room_by_dropping_what_expires_first() -> None:
    world = World()
    tools = (fix("circuit_breaker", tool=f"t{n}", max_repeats=3) for n in range(80))
    for number, one in enumerate(tools):
        world.detect(detection(id=f"d{number}", suggested_fix=one))
    rules = world.policy("researcher")["rules"]
    assert len(rules) == 64
    assert rules[-1]["parameters"]["tool"] == "t79"


def test_the_gate_reads_bus_time_not_the_wall_clock() -> None:
    world = World()
    world.now_ns = START_NS + int(899.0 * 1e9)
    world.detect(detection())
    world.now_ns = START_NS + int(900.0 * 1e9)
    world.detect(detection(id="d2", suggested_fix=fix("loop_breaker", max_repeats=3)))
    assert [applied["detection_id"] for applied in world.outcomes("applied")] == ["d1"]
