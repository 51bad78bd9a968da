"""The healing consumer: requests and people's answers in; policies, questions and outcomes out.

It is the one owner of the healings and of the guard policy of each tenant/service/agent that its partitions hold.
What applies by itself is SAFE, confident and fresh (`gate.py`); MEDIUM fixes are asked for in this version.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from collector.bus.dead_letters import dead_letter
from collector.bus.protocol import Batch, Handled, Outgoing, Record, State
from healing import ledger, policy_book
from healing.bounded_json import fits
from healing.casework import Casework
from healing.draft import Draft
from healing.events import outgoing
from healing.gate import GateSettings
from healing.homes import Home, home_of
from healing.ledger import Healing, Phase
from healing.published_detections import EVIDENCE_BYTES, PARAMETER_BYTES
from schemas.detection import WITHDRAWN
from schemas.healing import (
    APPROVED,
    REJECTED,
    REVIEW,
    WIDEN,
    WITHDRAW,
    Approval,
    HealingRequest,
    UnreadableDocument,
    decode,
)
from schemas.metrics import HEALING_DECISIONS, POLICIES_IN_FORCE, GaugePart
from schemas.topics import APPROVALS, HEALING

TICK_LIMIT = 500


class HealingConsumer:
    """Reads `healing` and `approvals`. `healings` and `policies` bound what is remembered, each counted when hit."""

    group = "healing"
    topics: Sequence[str] = (HEALING, APPROVALS)

    def __init__(self, settings: GateSettings, healings: int = 50_000, policies: int = 10_000) -> None:
        self._settings = settings
        self._healings = healings
        self._policies = policies
        self._in_force = GaugePart(POLICIES_IN_FORCE)

    def restore(self, state: State) -> None:
        """Show how many policies are in force; nothing is kept outside the committed state."""
        self._in_force.set(state.count(policy_book.STORE))

    def handle(self, batch: Batch, state: State) -> Handled:
        """Work through a batch, then through what is due."""
        draft = Draft(state)
        casework = Casework(draft, self._settings, batch.now_ns)
        outputs = [out for record in batch.records for out in self._record(record, draft, casework)]
        outputs += self._due(draft, casework, batch.now_ns)
        changes = draft.changes()
        if any(change.store == policy_book.STORE for change in changes):
            self._in_force.set(draft.count(policy_book.STORE))
        return Handled(outputs, changes)

    def _record(self, record: Record, draft: Draft, casework: Casework) -> list[Outgoing]:
        try:
            handle = _answer if record.topic == APPROVALS else _request
            return list(handle(record, draft, casework))
        except UnreadableDocument as error:
            return [dead_letter(record, error, self.group)]

    def _due(self, draft: Draft, casework: Casework, now_ns: int) -> Iterator[Outgoing]:
        for key in draft.due(ledger.STORE, now_ns, TICK_LIMIT):
            home, healing = ledger.load_due(draft, key)
            if healing.waits:
                yield from casework.unanswered(home, healing)
            else:
                draft.drop(ledger.STORE, key)
        for key in draft.excess(ledger.STORE, self._healings):
            yield from casework.evict(key)
        for policy in policy_book.expire(draft, now_ns, TICK_LIMIT):
            yield outgoing(policy)
        for policy in policy_book.evict(draft, self._policies, now_ns):
            yield outgoing(policy)


def _request(record: Record, draft: Draft, casework: Casework) -> Iterator[Outgoing]:
    request = _read_request(record)
    home = home_of(record, request.tenant)
    healing = ledger.load(draft, home, request.id)
    if healing is not None and request.detection.version <= healing.version:
        return
    if healing is not None and healing.phase == Phase.MOVED:
        yield _forward(home, healing, request)
        ledger.save(draft, home, replace(healing, version=request.detection.version), casework.now_ns)
        return
    target = home.filled(request.service, request.agent)
    own = replace(request, service=home.service or None, agent=home.agent or None)
    if request.action == WITHDRAW or request.detection.status == WITHDRAWN:
        yield from casework.withdraw(home, own)
    elif target != home:
        yield from casework.move(home, target, request)
    elif request.action == WIDEN:
        yield from casework.widen(home, own)
    else:
        yield from casework.propose(home, own)


def _answer(record: Record, draft: Draft, casework: Casework) -> Iterator[Outgoing]:
    """Take what people said; what this consumer itself said on the topic, reviews, and answers to nothing, pass."""
    answer = decode(Approval, record.value)
    if answer.kind == REVIEW or answer.event not in (APPROVED, REJECTED):
        return
    home = home_of(record, answer.tenant)
    healing = ledger.load(draft, home, answer.healing_id)
    if healing is not None and healing.phase == Phase.MOVED:
        moved = replace(answer, service=healing.moved_service or None, agent=healing.moved_agent or None)
        yield outgoing(moved)
    elif healing is None or not healing.waits or not answer.who:
        HEALING_DECISIONS.labels(decision="ignored", reason="answer").inc()
    else:
        yield from casework.answer(home, healing, answer)


def _forward(home: Home, healing: Healing, request: HealingRequest) -> Outgoing:
    target = Home(home.tenant, healing.moved_service, healing.moved_agent)
    return outgoing(replace(request, service=target.service or None, agent=target.agent or None))


def _read_request(record: Record) -> HealingRequest:
    """Read a request; raises UnreadableDocument, also where it holds more than the router lets through."""
    request = decode(HealingRequest, record.value)
    if request.fix is not None and not fits(request.fix.parameters, PARAMETER_BYTES):
        raise UnreadableDocument("the fix's parameters are too large")
    if not fits(request.detection.evidence, EVIDENCE_BYTES):
        raise UnreadableDocument("the evidence is too large")
    return request
