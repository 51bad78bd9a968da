"""Whatever is thrown at the gate: nothing but SAFE, confident and fresh applies without an approval."""

from __future__ import annotations

from typing import Any

import orjson
from healing_world import START_NS, World, detection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.bus.protocol import Outgoing
from healing.gate import GateSettings
from schemas.healing import RISKS
from schemas.timestamps import rfc3339
from schemas.topics import APPROVALS, DETECTIONS, HEALING, HEALING_OUTCOMES, POLICIES

SECOND = 1_000_000_000
SAFE_BY_ITSELF = {
    "retry_limit",
    "circuit_breaker",
    "execution_timeout",
    "loop_breaker",
    "timeout_adjustment",
    "budget_limiter",
    "cost_monitor",
    "state_validation",
}
GOVERNANCE = (
    "approval_bypass",
    "exploration_safety",
    "role_usurpation",
    "subagent_boundary",
    "reward_hacking",
    "authority_gradient",
    "cowork_safety",
)


def mostly(right: st.SearchStrategy[Any], other: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw right values so often that many detections miss the line by one field only."""
    return st.builds(lambda n, yes, no: no if n == 6 else yes, st.sampled_from(range(7)), right, other)


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
parameters = st.fixed_dictionaries(
    {},
    optional={
        "tool": st.sampled_from(["search", ""]) | anything,
        "max_repeats": st.integers(-1, 5) | anything,
        "max_usd": st.floats(0.1, 9.0) | anything,
        "budget_usd": st.floats(0.1, 9.0),
        "scope": st.sampled_from(["run", "agent", "service", "tenant"]) | anything,
        "seconds": st.floats(1.0, 9.0),
    },
)
good = st.sampled_from(
    [
        ("circuit_breaker", {"tool": "search", "max_repeats": 3}),
        ("loop_breaker", {"max_repeats": 3}),
        ("budget_limiter", {"max_usd": 1.0, "scope": "run"}),
        ("context_pruning", {"target_tokens": 1_000}),
        ("permission_gate", {"tools": ["search"]}),
        ("emergency_stop", {}),
    ]
)
loose = st.tuples(st.sampled_from(sorted(RISKS)) | st.text(max_size=12), parameters)
fixes = st.builds(
    lambda known, risk: {"fix_type": known[0], "parameters": known[1], "risk": risk, "description": ""},
    mostly(good, loose),
    st.sampled_from(["SAFE", "MEDIUM", "DANGEROUS"]),
)
AGES = (0, 1, 600, 899, 900, 901, 86_400, -30, -61, -86_400)


ages = mostly(st.just(1), st.sampled_from(AGES))
detections = st.builds(
    detection,
    id=st.sampled_from(["d1", "d2", "d3"]),
    type=mostly(st.just("loop"), st.sampled_from(["made_up", " Reward_Hacking", "role_usurpation_exec", *GOVERNANCE])),
    version=st.integers(1, 6),
    status=mostly(st.just("open"), st.sampled_from(["closed", "withdrawn"])),
    confidence=mostly(st.just(0.9), st.sampled_from([0.0, 0.35, 0.79999, 0.8, 1.0])),
    service=mostly(st.just("shop"), st.sampled_from([None, "", "shop/../x"])),
    agent=st.sampled_from([None, "", "ann", "bob"]),
    event_time=ages.map(lambda seconds: rfc3339(START_NS - seconds * SECOND)),
    suggested_fix=mostly(fixes, st.none()),
)
fields = ("id", "type", "version", "status", "confidence", "service", "agent", "event_time", "suggested_fix", "tenant")
mangled = st.builds(
    lambda document, field, value: {**document, field: value}, detections, st.sampled_from(fields), anything
)


def may_apply(document: dict[str, Any], now_ns: int) -> bool:
    """Say, independently of the gate, whether a detection's fix may apply by itself."""
    fix = document["suggested_fix"]
    kind = document["type"].strip().lower()
    age = now_ns - (START_NS - _age_of(document))
    return (
        isinstance(fix, dict)
        and str(fix.get("fix_type")) in SAFE_BY_ITSELF
        and not kind.startswith(GOVERNANCE)
        and document["status"] == "open"
        and document["confidence"] >= 0.8
        and -60 * SECOND <= age < 900 * SECOND
    )


def _age_of(document: dict[str, Any]) -> int:
    for seconds in AGES:
        if document["event_time"] == rfc3339(START_NS - seconds * SECOND):
            return seconds * SECOND
    return -10 * 86_400 * SECOND


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(detections | mangled, min_size=1, max_size=8), st.booleans())
def test_nothing_but_safe_confident_and_fresh_applies_without_an_approval(
    documents: list[dict[str, Any]], dry_run: bool
) -> None:
    world = World(GateSettings(dry_run=dry_run))
    for document in documents:
        world.detect(document)
    entitled = [one for one in documents if _well_formed(one) and may_apply(one, world.now_ns)]
    applied = world.outcomes("applied")
    for outcome in applied:
        assert outcome["by"] is None
        assert not dry_run
        assert outcome["service"], "a policy that no guard would read"
        assert any(_fits(one, outcome) for one in entitled), outcome
    told = {(outcome["service"], outcome["agent"] or "") for outcome in applied}
    assert {(policy["service"], policy["agent"]) for policy in world.documents(POLICIES)} <= told
    for policy in world.documents(POLICIES):
        assert all(rule["fix_type"] in SAFE_BY_ITSELF for rule in policy["rules"])


def _well_formed(document: dict[str, Any]) -> bool:
    return isinstance(document["type"], str) and _is_number(document["confidence"])


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _fits(document: dict[str, Any], outcome: dict[str, Any]) -> bool:
    return bool(
        document["id"] == outcome["detection_id"] and document["suggested_fix"]["fix_type"] == outcome["fix_type"]
    )


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from([DETECTIONS, HEALING, APPROVALS]), st.binary(max_size=64) | anything)))
def test_any_bytes_and_any_json_on_any_topic_end_as_dead_letters(said: list[tuple[str, Any]]) -> None:
    world = World()
    for topic, value in said:
        written = value if isinstance(value, bytes) else orjson.dumps(value)
        world.hand_over([Outgoing(topic, "default/shop/ann", written, {"tenant": b"default"})])
    assert world.documents(HEALING_OUTCOMES) == []
    assert len(world.said) == len(said)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(detections, st.sampled_from(["propose", "widen", "withdraw"]), ages, st.sampled_from(["SAFE", "DANGEROUS"]))
def test_forged_requests_pass_the_same_gate(document: dict[str, Any], action: str, seconds: int, risk: str) -> None:
    world = World()
    names = ("id", "version", "type", "status", "confidence", "severity", "title", "explanation", "run_id", "trace_id")
    request = {
        "schema": "tracemend.healing/1",
        "id": "h1",
        "action": action,
        "tenant": "default",
        "service": document["service"],
        "agent": document["agent"],
        "detection": {name: document[name] for name in (*names, "event_time", "spans", "evidence")},
        "fix": document["suggested_fix"],
        "risk": risk,
        "at": rfc3339(START_NS),
        "decided_at": rfc3339(START_NS - seconds * SECOND) if action == "widen" else None,
    }
    world.hand_over([Outgoing(HEALING, "default/shop/ann", orjson.dumps(request), {"tenant": b"default"})])
    decided_ns = START_NS - seconds * SECOND if action == "widen" else START_NS
    if world.outcomes("applied"):
        assert action != "withdraw"
        assert may_apply(document, decided_ns)


def test_deep_and_huge_documents_are_cut_or_refused_and_never_raise() -> None:
    world = World()
    deep = b"[" * 900 + b"]" * 900
    base = orjson.dumps(detection(evidence={"x": 1}))
    bodies = [
        base.replace(b'"evidence":{"x":1}', b'"evidence":{"x":' + deep + b"}"),
        base.replace(b'"evidence":{"x":1}', b'"evidence":{"x":1' + b"0" * 400 + b"}"),
        base.replace(b'"evidence":{"x":1}', b'"evidence":{"x":"' + b"y" * 40_000 + b'"}'),
        base.replace(b'"max_repeats":3', b'"max_repeats":' + deep),
        base.replace(b'"max_repeats":3', b'"max_repeats":3' + b"0" * 400),
        base.replace(b'"max_repeats":3', b'"max_repeats":NaN'),
        base.replace(b"researcher", b"\\ud800 alone"),
        b"[" * 100_000,
    ]
    for number, body in enumerate(bodies):
        value = body.replace(b'"id":"d1"', b'"id":"d%d"' % number)
        world.hand_over([Outgoing(DETECTIONS, "default/run", value, {"tenant": b"default"})])
    assert {outcome["detection_id"] for outcome in world.outcomes("applied")} <= {"d0", "d1", "d2"}
    assert len(world.outcomes("applied")) >= 1
