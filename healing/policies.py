"""Guard policies as values: adding rules, taking them back, expiry, and what one agent has to obey. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import xxhash
from msgspec.structs import replace

from schemas.canonical import canonical
from schemas.healing import Policy, PolicyFigures, Rule
from schemas.keys import join_key
from schemas.timestamps import rfc3339, unix_ns

RULES_PER_POLICY = 64
DETECTIONS_PER_RULE = 16


def empty_policy(tenant: str, service: str, agent: str) -> Policy:
    """Make the policy that is in force where none was written."""
    return Policy(tenant=tenant, service=service, agent=agent, version=0, at=rfc3339(0), rules=())


def rule_id(fix_type: str, parameters: object, scope: str, run_id: str | None) -> str:
    """Name a rule by what it says, so that two detections that ask for the same share one."""
    return xxhash.xxh3_64_hexdigest(join_key(fix_type, scope, run_id or "").encode() + canonical(parameters))


def with_rule(policy: Policy, rule: Rule, now_ns: int) -> Policy:
    """Add a rule, or let one that stands already carry the new detection too."""
    standing = next((known for known in policy.rules if known.id == rule.id), None)
    others = [known for known in policy.rules if known.id != rule.id]
    return _changed(policy, [*others, _joined(standing, rule) if standing else rule], now_ns)


def without_detection(policy: Policy, detection_id: str, now_ns: int) -> Policy:
    """Take back what one detection put in force; rules that others asked for too stay."""
    lasting = (replace(rule, detection_ids=_without(rule, detection_id)) for rule in policy.rules)
    return _changed(policy, [rule for rule in lasting if rule.detection_ids], now_ns)


def without_expired(policy: Policy, now_ns: int) -> Policy:
    """Leave out rules whose time is over."""
    return _changed(policy, [rule for rule in policy.rules if unix_ns(rule.expires_at) > now_ns], now_ns)


def without_rules(policy: Policy, now_ns: int) -> Policy:
    """Take everything back."""
    return _changed(policy, (), now_ns)


def next_expiry_ns(policy: Policy) -> int | None:
    """Say when the first rule expires; None without rules."""
    return min((unix_ns(rule.expires_at) for rule in policy.rules), default=None)


def combined(of_service: Policy, of_agent: Policy, now_ns: int) -> Policy:
    """Put together what one agent has to obey: its own rules and those of its service, where that is another policy."""
    rules = {rule.id: rule for rule in (*of_service.rules, *of_agent.rules) if unix_ns(rule.expires_at) > now_ns}
    newest = max(of_service, of_agent, key=lambda policy: policy.version)
    return replace(of_agent, version=newest.version, at=newest.at, rules=tuple(rules.values()))


def figures(policy: Policy) -> PolicyFigures:
    """Reduce a policy to two numbers."""
    return PolicyFigures(policy.version, len(policy.rules))


def _changed(policy: Policy, rules: Iterable[Rule], now_ns: int) -> Policy:
    """Give the next version, the policy itself where nothing changed; over the cap what expires first goes.

    Versions are milliseconds of bus time, so that they grow also after state was lost.
    """
    kept = sorted(rules, key=lambda rule: unix_ns(rule.expires_at))[-RULES_PER_POLICY:]
    if tuple(kept) == policy.rules:
        return policy
    return replace(policy, version=max(now_ns // 1_000_000, policy.version + 1), at=rfc3339(now_ns), rules=tuple(kept))


def _joined(standing: Rule, rule: Rule) -> Rule:
    new = [known for known in rule.detection_ids if known not in standing.detection_ids]
    asked = (*standing.detection_ids, *new)[-DETECTIONS_PER_RULE:]
    return replace(rule, detection_ids=asked, expires_at=max(standing.expires_at, rule.expires_at, key=unix_ns))


def _without(rule: Rule, detection_id: str) -> tuple[str, ...]:
    return tuple(known for known in rule.detection_ids if known != detection_id)
