"""What applying a fix means: the rule it becomes, its scope and life, and the outcome that tells of it."""

from __future__ import annotations

from typing import NamedTuple

from healing import policies
from healing.asking import NO_FIX
from healing.fixes import checked_parameters
from healing.homes import Home
from schemas.healing import AGENT, RUN, SERVICE, HealingRequest, Outcome, Policy, Rule, risk_of
from schemas.timestamps import SECOND_NS, rfc3339

RUN_SECONDS = 86_400
SCOPE_SECONDS = 7 * 86_400
APPROVED_SECONDS = 30 * 86_400
"""How long a rule stands: for one run, for an agent or service by itself, and where a person approved it."""


class Applied(NamedTuple):
    """A rule, and the policy before and with it."""

    rule: Rule
    before: Policy
    after: Policy

    @property
    def stands(self) -> bool:
        """Whether the policy had room for the rule."""
        return any(rule.id == self.rule.id for rule in self.after.rules)


def apply_to(before: Policy, request: HealingRequest, home: Home, by: str, now_ns: int) -> Applied:
    """Put a fix into a policy; the request's parameters were checked by the gate."""
    fix = request.fix or NO_FIX
    parameters = checked_parameters(fix)
    scope = scope_of(parameters.get("scope"), home)
    run_id = request.detection.run_id if scope == RUN else None
    rule = Rule(
        id=policies.rule_id(fix.fix_type, parameters, scope, run_id),
        fix_type=fix.fix_type,
        parameters=parameters,
        scope=scope,  # type: ignore[arg-type]  # one of the constants of that Literal
        run_id=run_id,
        expires_at=rfc3339(now_ns + _seconds(scope, by) * SECOND_NS),
        detection_ids=(request.detection.id,),
    )
    return Applied(rule, before, policies.with_rule(before, rule, now_ns))


def scope_of(wanted: object, home: Home) -> str:
    """Choose the widest scope that is known and meant: without an agent's name a rule binds one run only."""
    if wanted == RUN:
        return RUN
    if home.agent:
        return AGENT
    return SERVICE if wanted in (SERVICE, "tenant") else RUN


def widenable(request: HealingRequest, scope: str) -> bool:
    """Say whether a rule binds one run only because nobody knew the agent's name."""
    return scope == RUN and request.fix is not None and checked_parameters(request.fix).get("scope") != RUN


def outcome(
    event: str, request: HealingRequest, reason: str, at_ns: int, by: str = "", applied: Applied | None = None
) -> Outcome:
    """Tell what became of a fix."""
    seen, fix = request.detection, request.fix or NO_FIX
    return Outcome(
        id=f"{request.id}.{event}.{seen.version}",
        healing_id=request.id,
        event=event,  # type: ignore[arg-type]  # one of the constants of that Literal
        tenant=request.tenant,
        service=request.service,
        agent=request.agent,
        detection_id=seen.id,
        detection_version=seen.version,
        detection_type=seen.type,
        run_id=seen.run_id,
        fix_type=fix.fix_type,
        risk=risk_of(fix.fix_type),  # type: ignore[arg-type]  # as above
        parameters=applied.rule.parameters if applied else fix.parameters,
        scope=applied.rule.scope if applied else None,
        rule_id=applied.rule.id if applied else None,
        reason=reason,
        by=by or None,
        at=rfc3339(at_ns),
        before=policies.figures(applied.before) if applied else None,
        after=policies.figures(applied.after) if applied else None,
        checkpoint=applied.before if applied else None,
    )


def _seconds(scope: str, by: str) -> int:
    if scope == RUN:
        return RUN_SECONDS
    return APPROVED_SECONDS if by else SCOPE_SECONDS
