"""One healing at a time: proposed, widened, withdrawn, answered by a person, or left unanswered."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from collector.bus.protocol import Outgoing
from healing import ledger, policy_book
from healing.applying import Applied, apply_to, outcome, widenable
from healing.asking import DEADLINE_NS, no_longer, question
from healing.draft import Draft
from healing.events import outgoing, without_evidence
from healing.gate import Decision, GateSettings, Verdict, decide, may_apply_once_approved
from healing.homes import Home
from healing.ledger import Healing, Phase
from healing.policies import without_detection
from schemas.healing import APPLIED, APPROVED, FAILED, ROLLED_BACK, WIDEN, Approval, HealingRequest, Policy
from schemas.metrics import HEALING_DECISIONS
from schemas.timestamps import rfc3339, unix_ns

OPEN_PHASES = (None, Phase.SUGGESTED, Phase.REFUSED)
"""Phases in which a newer version of the detection is decided on again."""
PHASE_OF = {Verdict.ASK: Phase.ASKED, Verdict.SUGGEST: Phase.SUGGESTED, Verdict.REFUSE: Phase.REFUSED}


class Casework:
    """Works on healings within one batch, at one moment of bus time; gives what is to be said about them."""

    def __init__(self, draft: Draft, settings: GateSettings, now_ns: int) -> None:
        self._draft = draft
        self._settings = settings
        self.now_ns = now_ns
        self._last_ns = now_ns

    # --- requests ---

    def propose(self, home: Home, request: HealingRequest) -> Iterator[Outgoing]:
        """Decide on a new version of a detection; an earlier decision that is still good is not told again."""
        healing = ledger.load(self._draft, home, request.id)
        phase = healing.phase if healing else None
        decision = decide(request, self.now_ns, self._settings)
        if healing is not None and (phase not in OPEN_PHASES or PHASE_OF.get(decision.verdict) == phase):
            return self._save(home, replace(healing, version=request.detection.version))
        _count(decision.verdict, decision.reason)
        if decision.verdict == Verdict.APPLY:
            yield from self._no_longer(healing, "It applied by itself.")
            yield from self._apply(home, request, decision.words)
        elif decision.verdict != Verdict.REFUSE:
            yield from self._ask(home, request, decision)
        elif phase is None:
            yield outgoing(outcome(FAILED, request, decision.words, self._at_ns()))
            self._remember(home, request, Phase.REFUSED)
        elif healing is not None:
            self._save(home, replace(healing, version=request.detection.version))

    def widen(self, home: Home, request: HealingRequest) -> Iterator[Outgoing]:
        """Apply to an agent what applied to one of its runs, if it would have been decided so at the time.

        Nothing is taken on trust: the gate looks at the request once more, as of the moment it names.
        """
        decided_ns = unix_ns(request.decided_at or request.at)
        decision = decide(request, decided_ns, self._settings)
        past = 0 <= self.now_ns - decided_ns <= ledger.REMEMBER_NS
        known = ledger.load(self._draft, home, request.id)
        if known is None and past and decision.verdict == Verdict.APPLY:
            _count("widened", "agent_known")
            yield from self._apply(home, request, f"Widened from run {request.detection.run_id} to its agent.")
        else:
            _count("ignored", "widening")

    def withdraw(self, home: Home, request: HealingRequest) -> Iterator[Outgoing]:
        """Take back what was done or asked for: spans that came late showed that there was nothing to heal."""
        healing = ledger.load(self._draft, home, request.id)
        why = "The detection was withdrawn."
        if healing is None:
            return self._remember(home, request, Phase.WITHDRAWN)
        healing = replace(healing, version=request.detection.version)
        if healing.phase == Phase.APPLIED:
            yield from self._take_back(home, healing, why)
            healing = replace(healing, phase=Phase.TAKEN_BACK)
        elif healing.waits:
            yield from self._no_longer(healing, why)
            healing = replace(healing, phase=Phase.WITHDRAWN)
        elif healing.phase == Phase.REFUSED:
            healing = replace(healing, phase=Phase.WITHDRAWN)
        self._save(home, healing)

    def move(self, home: Home, target: Home, request: HealingRequest) -> Iterator[Outgoing]:
        """Hand a healing over to the owner of a better-known home: service and agent often become known later."""
        healing = ledger.load(self._draft, home, request.id)
        if healing is None or healing.phase in (Phase.ASKED, *OPEN_PHASES):
            yield from self._no_longer(healing, "Asked again under the name that is now known.")
            yield _towards(target, request)
        elif healing.phase == Phase.APPLIED and not healing.by and widenable(healing.request, healing.scope):
            decided = replace(healing.request.detection, version=request.detection.version)
            yield from self._drop_rule(home, healing)
            yield _towards(
                target,
                replace(healing.request, action=WIDEN, detection=decided, decided_at=rfc3339(healing.decided_ns)),
            )
        else:
            return self._save(home, replace(healing, version=request.detection.version))
        moved = healing or Healing(Phase.MOVED, 0, without_evidence(request), self.now_ns)
        self._save(
            home,
            replace(
                moved,
                phase=Phase.MOVED,
                version=request.detection.version,
                moved_service=target.service,
                moved_agent=target.agent,
            ),
        )

    # --- people ---

    def answer(self, home: Home, healing: Healing, answer: Approval) -> Iterator[Outgoing]:
        """Take a person's answer to a question that waits for one."""
        if self.now_ns >= healing.deadline_ns:
            yield from self.unanswered(home, healing)
        elif answer.event != APPROVED:
            _count("rejected", "person")
            self._save(home, replace(healing, phase=Phase.REJECTED))
        elif may_apply_once_approved(healing.request, self._settings):
            _count("approved", "person")
            yield from self._apply(home, healing.request, f"Approved by {answer.who}.", answer.who or "")
        else:
            _count("recorded", "person")
            self._save(home, replace(healing, phase=Phase.RECORDED))

    def unanswered(self, home: Home, healing: Healing) -> Iterator[Outgoing]:
        """Give up waiting."""
        _count("expired", "deadline")
        yield from self._no_longer(healing, "Nobody answered in time.")
        self._save(home, replace(healing, phase=Phase.EXPIRED))

    def evict(self, state_key: str) -> Iterator[Outgoing]:
        """Forget a healing to make room; counted, and a question that waits is closed."""
        _, healing = ledger.load_due(self._draft, state_key)
        _count("evicted", "healings_cap")
        yield from self._no_longer(healing, "Too many healings are under way.")
        self._draft.drop(ledger.STORE, state_key)

    # --- what they are made of ---

    def _apply(self, home: Home, request: HealingRequest, reason: str, by: str = "") -> Iterator[Outgoing]:
        applied = apply_to(policy_book.in_force(self._draft, home), request, home, by, self.now_ns)
        if not applied.stands:
            yield outgoing(outcome(FAILED, request, "The policy holds as many rules as it may.", self._at_ns(), by))
            return self._remember(home, request, Phase.REFUSED)
        yield outgoing(outcome(APPLIED, request, reason, self._at_ns(), by, applied))
        yield self._put_in_force(applied.after)
        self._save(
            home,
            Healing(
                Phase.APPLIED,
                request.detection.version,
                without_evidence(request),
                self.now_ns,
                scope=applied.rule.scope,
                rule_id=applied.rule.id,
                by=by,
            ),
        )

    def _ask(self, home: Home, request: HealingRequest, decision: Decision) -> Iterator[Outgoing]:
        deadline_ns = self.now_ns + DEADLINE_NS
        applies = may_apply_once_approved(request, self._settings)
        yield outgoing(question(request, decision, applies, self._at_ns(), deadline_ns))
        self._remember(home, request, PHASE_OF[decision.verdict], deadline_ns)

    def _take_back(self, home: Home, healing: Healing, why: str) -> Iterator[Outgoing]:
        before = policy_book.in_force(self._draft, home)
        rule = next((rule for rule in before.rules if rule.id == healing.rule_id), None)
        yield from self._drop_rule(home, healing)
        after = policy_book.in_force(self._draft, home)
        version = replace(healing.request.detection, version=healing.version)
        told = replace(healing.request, detection=version)
        applied = Applied(rule, before, after) if rule else None
        _count("taken_back", "withdrawn")
        yield outgoing(outcome(ROLLED_BACK, told, why, self._at_ns(), healing.by, applied))

    def _drop_rule(self, home: Home, healing: Healing) -> Iterator[Outgoing]:
        """Leave the policy as it would be without this healing; rules that others asked for too stay."""
        before = policy_book.in_force(self._draft, home)
        after = without_detection(before, healing.request.detection.id, self.now_ns)
        if after is not before:
            yield self._put_in_force(after)

    def _put_in_force(self, policy: Policy) -> Outgoing:
        policy_book.put_in_force(self._draft, policy)
        return outgoing(policy)

    def _no_longer(self, healing: Healing | None, why: str) -> Iterator[Outgoing]:
        if healing is None or not healing.waits:
            return
        verdict = Verdict.SUGGEST if healing.phase == Phase.SUGGESTED else Verdict.ASK
        told = replace(healing.request, detection=replace(healing.request.detection, version=healing.version))
        yield outgoing(no_longer(told, verdict, why, self._at_ns(), healing.deadline_ns))

    def _remember(self, home: Home, request: HealingRequest, phase: Phase, deadline_ns: int = 0) -> None:
        kept = without_evidence(request)
        self._save(home, Healing(phase, request.detection.version, kept, self.now_ns, deadline_ns))

    def _save(self, home: Home, healing: Healing) -> None:
        ledger.save(self._draft, home, healing, self.now_ns)

    def _at_ns(self) -> int:
        """Date what is said: a nanosecond apart within a batch, so that readers can put it in order."""
        self._last_ns += 1
        return self._last_ns


def _towards(target: Home, request: HealingRequest) -> Outgoing:
    return outgoing(replace(request, service=target.service or None, agent=target.agent or None))


def _count(decision: str, reason: str) -> None:
    HEALING_DECISIONS.labels(decision=decision, reason=reason).inc()
