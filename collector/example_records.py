"""One record of each public topic, made by the code that writes the real ones: what the AsyncAPI document shows.

An agent searches for the same flights again and again; the fix is safe and applies, a second one is asked about.
"""

from __future__ import annotations

from typing import Any

import orjson

from collector.bus.protocol import Outgoing, Record
from healing.asking import question
from healing.events import healing_id, outgoing
from healing.gate import GateSettings, decide
from healing.published_detections import PublishedDetection, read_detection
from healing.saying import feedback_outgoing, threshold_outgoing, verdict_on
from processors.runs.publishing import Subject, detection_outgoing
from schemas.detection import OPEN, Finding, Fix
from schemas.healing import (
    APPLIED,
    PROPOSE,
    HealingRequest,
    Outcome,
    Policy,
    PolicyFigures,
    ProposedFix,
    Rule,
    risk_of,
)
from schemas.people import CORRECT, Threshold
from schemas.step import SpanRef
from schemas.timestamps import SECOND_NS, rfc3339, unix_ns

SEEN_NS = unix_ns("2026-11-20T10:00:00.123456789Z")
TOLD_NS = SEEN_NS + 288_543_211
VERSION = 3
TRACE = "5b8aa5a2d2c872e8321cf37308d69df2"
SPANS = tuple(SpanRef(TRACE, span) for span in ("051581bf3cb55c13", "3f1c60c1e7c5a2b4", "9a4d6e0b7f2c8135"))
SUBJECT = Subject("default", TRACE, "trip-planner", "researcher", "langgraph", "", "loop", "1")
FINDING = Finding(
    type="loop",
    fingerprint="search_flights",
    first=SPANS[0],
    spans=SPANS,
    status=OPEN,
    tier=1,
    confidence=0.93,
    severity="high",
    score=74,
    title="{agent} called search_flights 5 times with the same arguments",
    explanation="Five calls with the same arguments brought the same result; nothing new came of the last four.",
    evidence={"repetitions": 5, "period": 1, "first_index": 12, "last_index": 16},
    event_time_ns=SEEN_NS,
    fix=Fix("circuit_breaker", "Refuse the call after 3 repeats.", {"tool": "search_flights", "max_repeats": 3}),
)
ASKED_FIX = ProposedFix("exponential_backoff", {"tool": "search_flights", "base_delay_seconds": 2}, "Wait longer.")


def example_records() -> tuple[Outgoing, ...]:
    """Make them, in the order of their way: detection, request, question, outcome, policy, verdict, threshold."""
    detection = detection_outgoing(SUBJECT, FINDING, VERSION, TOLD_NS)
    request = _request(_read(detection))
    policy = _policy(request)
    healed = (outgoing(request), _question(request), outgoing(_outcome(request, policy)), outgoing(policy))
    return (detection, *healed, *_said(orjson.loads(detection.value)))


def _said(detection: dict[str, Any]) -> tuple[Outgoing, Outgoing]:
    """Let a person judge the detection, and set a threshold."""
    verdict = verdict_on(detection, detection["confidence"], CORRECT, "ada", "It did loop.", TOLD_NS)
    threshold = Threshold(
        tenant="default",
        detector="loop",
        framework="langgraph",
        min_confidence=0.8,
        who="ada",
        version=TOLD_NS // 1_000_000,
        at=rfc3339(TOLD_NS),
    )
    return feedback_outgoing(verdict), threshold_outgoing(threshold)


def _read(detection: Outgoing) -> PublishedDetection:
    """Read the detection as healing does."""
    return read_detection(Record(detection.topic, 0, 0, detection.key, detection.value, detection.headers, TOLD_NS))


def _request(detection: PublishedDetection) -> HealingRequest:
    fix = detection.suggested_fix
    return HealingRequest(
        id=healing_id(detection.tenant, detection.id),
        action=PROPOSE,  # type: ignore[arg-type]  # a constant of that Literal
        tenant=detection.tenant,
        service=detection.service,
        agent=detection.agent,
        detection=detection.seen(),
        fix=fix,
        risk=risk_of(fix.fix_type) if fix else None,  # type: ignore[arg-type]  # as above
        at=rfc3339(TOLD_NS),
    )


def _question(request: HealingRequest) -> Outgoing:
    asked = HealingRequest(
        id=request.id,
        action=request.action,
        tenant=request.tenant,
        service=request.service,
        agent=request.agent,
        detection=request.detection,
        fix=ASKED_FIX,
        risk=risk_of(ASKED_FIX.fix_type),  # type: ignore[arg-type]  # as above
        at=request.at,
    )
    decision = decide(asked, TOLD_NS, GateSettings())
    return outgoing(question(asked, decision, applies=True, at_ns=TOLD_NS, deadline_ns=TOLD_NS + 86_400 * SECOND_NS))


def _policy(request: HealingRequest) -> Policy:
    rule = Rule(
        id=request.id,
        fix_type="circuit_breaker",
        parameters={"tool": "search_flights", "max_repeats": 3},
        scope="agent",
        run_id=None,
        expires_at=rfc3339(TOLD_NS + 7 * 86_400 * SECOND_NS),
        detection_ids=(request.detection.id,),
    )
    return Policy(
        tenant=request.tenant,
        service=request.service or "",
        agent=request.agent or "",
        version=TOLD_NS // 1_000_000,
        at=rfc3339(TOLD_NS),
        rules=(rule,),
    )


def _outcome(request: HealingRequest, policy: Policy) -> Outcome:
    rule = policy.rules[0]
    return Outcome(
        id=f"{request.id}.{APPLIED}.{VERSION}",
        healing_id=request.id,
        event=APPLIED,  # type: ignore[arg-type]  # as above
        tenant=request.tenant,
        service=request.service,
        agent=request.agent,
        detection_id=request.detection.id,
        detection_version=request.detection.version,
        detection_type=request.detection.type,
        run_id=request.detection.run_id,
        fix_type=rule.fix_type,
        risk="SAFE",
        parameters=rule.parameters,
        scope=rule.scope,
        rule_id=rule.id,
        reason="SAFE, confident and fresh.",
        by=None,
        at=rfc3339(TOLD_NS),
        before=PolicyFigures(0, 0),
        after=PolicyFigures(policy.version, 1),
        checkpoint=Policy(
            tenant=policy.tenant, service=policy.service, agent=policy.agent, version=0, at=policy.at, rules=()
        ),
    )
