"""The policies in force as readers see them: fed by the `policies` topic, asked by the policy endpoint.

The stage's thread writes, the server's loop reads; one lock guards both, and is never held while anybody is told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from collector.bus.dead_letters import dead_letter
from collector.bus.protocol import Batch, Handled, Outgoing, Record, State
from healing.draft import FAR_NS, Draft
from healing.homes import Home, home_of
from healing.policies import combined, empty_policy
from schemas.healing import Policy, UnreadableDocument, decode
from schemas.topics import POLICIES

STORE = "board"

Watched = tuple[str, str]
"""Tenant and service: an agent obeys its own policy and its service's."""


class PolicyBoard:
    """Reads `policies`; keeps the newest policy of each home that has rules."""

    group = "policy_endpoint"
    topics: Sequence[str] = (POLICIES,)
    everywhere = True
    """Whoever answers guards knows all policies."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._policies: dict[str, Policy] = {}
        self._watchers: dict[Watched, set[Callable[[], None]]] = {}

    # --- the stage ---

    def restore(self, state: State) -> None:
        """Read the committed policies."""
        policies = {key: decode(Policy, value) for key, value in state.scan(STORE)}
        with self._lock:
            self._policies = policies

    def handle(self, batch: Batch, state: State) -> Handled:
        """Take newer policies over, and tell who waits for them."""
        draft = Draft(state)
        outputs = [out for record in batch.records for out in self._take(record, draft)]
        return Handled(outputs, draft.changes())

    def _take(self, record: Record, draft: Draft) -> Iterator[Outgoing]:
        try:
            policy = decode(Policy, record.value)
            home = home_of(record, policy.tenant)
        except UnreadableDocument as error:
            yield dead_letter(record, error, self.group)
            return
        known = draft.get(STORE, home.key)
        if known is not None and decode(Policy, known).version >= policy.version:
            return
        if policy.rules:
            draft.put(STORE, home.key, record.value, FAR_NS)
        else:
            draft.drop(STORE, home.key)
        self._show(home, policy)

    def _show(self, home: Home, policy: Policy) -> None:
        with self._lock:
            self._policies.pop(home.key, None)
            if policy.rules:
                self._policies[home.key] = policy
            watchers = list(self._watchers.get((home.tenant, home.service), ()))
        for tell in watchers:
            tell()

    # --- readers ---

    def obeyed_by(self, home: Home, now_ns: int) -> Policy:
        """Give what one agent has to obey now, its service's rules among it; without rules where none stand."""
        of_service = home._replace(agent="")
        with self._lock:
            service = self._policies.get(of_service.key) or empty_policy(*of_service)
            own = self._policies.get(home.key) or empty_policy(*home)
        return combined(service, own, now_ns)

    def watched(self) -> bool:
        """Say whether anybody waits for a change."""
        with self._lock:
            return bool(self._watchers)

    @contextmanager
    def watching(self, home: Home, tell: Callable[[], None]) -> Iterator[None]:
        """Call `tell`, from the stage's thread, whenever a policy of that service changes."""
        watched = (home.tenant, home.service)
        with self._lock:
            self._watchers.setdefault(watched, set()).add(tell)
        try:
            yield
        finally:
            with self._lock:
                left = self._watchers[watched]
                left.discard(tell)
                if not left:
                    del self._watchers[watched]
