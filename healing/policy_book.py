"""The guard policies in force, in the owner's state: one per home, bounded, and due when their next rule expires."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from healing import policies
from healing.draft import Draft
from healing.homes import Home
from schemas.healing import Policy
from schemas.metrics import HEALING_DECISIONS

STORE = "policies"


def in_force(draft: Draft, home: Home) -> Policy:
    """Read the policy of a home; an empty one where none stands."""
    value = draft.get(STORE, home.key)
    return policies.empty_policy(*home) if value is None else msgspec.msgpack.decode(value, type=Policy)


def put_in_force(draft: Draft, policy: Policy) -> None:
    """Keep a policy; one without rules is not kept."""
    key = Home(policy.tenant, policy.service, policy.agent).key
    expiry_ns = policies.next_expiry_ns(policy)
    if expiry_ns is None:
        draft.drop(STORE, key)
    else:
        draft.put(STORE, key, msgspec.msgpack.encode(policy), expiry_ns)


def expire(draft: Draft, now_ns: int, limit: int) -> Iterator[Policy]:
    """Take rules back whose time is over; gives the policies as they now are."""
    for key in draft.due(STORE, now_ns, limit):
        yield _replace(draft, key, now_ns, everything=False)


def evict(draft: Draft, cap: int, now_ns: int) -> Iterator[Policy]:
    """Empty the policies that expire first when there are more than a cap; counted."""
    for key in draft.excess(STORE, cap):
        HEALING_DECISIONS.labels(decision="evicted", reason="policies_cap").inc()
        yield _replace(draft, key, now_ns, everything=True)


def _replace(draft: Draft, key: str, now_ns: int, everything: bool) -> Policy:
    before = msgspec.msgpack.decode(draft.get(STORE, key) or b"", type=Policy)
    after = policies.without_rules(before, now_ns) if everything else policies.without_expired(before, now_ns)
    put_in_force(draft, after)
    return after
