"""Makes verdicts of people's answers to review requests, and lets those that nobody answers expire.

An answer becomes a record of `feedback` and nothing else: nothing is ever applied because of a review.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from collector.bus.dead_letters import dead_letter
from collector.bus.protocol import Batch, Handled, Outgoing, Record, State
from healing.draft import Draft
from healing.events import outgoing
from healing.homes import home_of
from healing.saying import feedback_outgoing, verdict_on
from schemas.healing import APPROVED, EXPIRED, REQUESTED, REVIEW, Approval, UnreadableDocument, decode
from schemas.keys import join_key
from schemas.metrics import REVIEWS
from schemas.people import CORRECT, WRONG
from schemas.timestamps import rfc3339, unix_ns
from schemas.topics import APPROVALS

STORE = "reviews"
TICK_LIMIT = 500
UNANSWERED = "Nobody answered in time."


class ReviewAnswers:
    """Reads `approvals`; remembers the reviews that wait. `most` bounds them: beyond it the oldest expire early."""

    group = "review_answers"
    topics: Sequence[str] = (APPROVALS,)

    def __init__(self, most: int = 20_000) -> None:
        self._most = most

    def restore(self, state: State) -> None:
        """Keep nothing outside the committed state."""

    def handle(self, batch: Batch, state: State) -> Handled:
        """Take what was asked and answered, then let expire what is due."""
        draft = Draft(state)
        outputs = [out for record in batch.records for out in self._record(record, draft, batch.now_ns)]
        due = draft.due(STORE, batch.now_ns, TICK_LIMIT)
        outputs += [_expire(draft, key, batch.now_ns, "unanswered") for key in due]
        outputs += [_expire(draft, key, batch.now_ns, "too_many") for key in draft.excess(STORE, self._most)]
        return Handled(outputs, draft.changes())

    def _record(self, record: Record, draft: Draft, now_ns: int) -> Iterator[Outgoing]:
        try:
            event = decode(Approval, record.value)
            if event.kind == REVIEW:
                home_of(record, event.tenant)
                yield from _take(event, draft, now_ns)
        except (UnreadableDocument, msgspec.ValidationError) as error:
            yield dead_letter(record, error, self.group)


def _take(event: Approval, draft: Draft, now_ns: int) -> Iterator[Outgoing]:
    key = join_key(event.tenant, event.healing_id)
    if event.event == REQUESTED:
        kept = msgspec.msgpack.encode(replace(event, hand_off=None))
        draft.put(STORE, key, kept, unix_ns(event.deadline) if event.deadline else now_ns)
        return
    asked = draft.get(STORE, key)
    draft.drop(STORE, key)
    if event.event == EXPIRED:
        return
    if asked is None or not event.who:
        REVIEWS.labels(outcome="ignored", reason="answer").inc()
        return
    REVIEWS.labels(outcome=event.event, reason="").inc()
    yield _verdict(msgspec.msgpack.decode(asked, type=Approval), event)


def _verdict(asked: Approval, answer: Approval) -> Outgoing:
    """Read an answer as a verdict on the detection as it was asked about; raises msgspec.ValidationError."""
    facts = asked.parameters
    detection: dict[str, Any] = {
        "tenant": asked.tenant,
        "id": asked.detection_id,
        "version": asked.detection_version,
        "type": asked.detection_type,
        "framework": facts.get("framework"),
        "tier": facts.get("tier"),
        "confidence": facts.get("confidence"),
    }
    says = CORRECT if answer.event == APPROVED else WRONG
    found: Any = facts.get("found_confidence")
    return feedback_outgoing(
        verdict_on(detection, found, says, answer.who or "", (answer.note or "")[:4_096], unix_ns(answer.at))
    )


def _expire(draft: Draft, key: str, now_ns: int, why: str) -> Outgoing:
    asked: Approval = msgspec.msgpack.decode(draft.get(STORE, key) or b"", type=Approval)
    draft.drop(STORE, key)
    REVIEWS.labels(outcome="expired", reason=why).inc()
    return outgoing(
        replace(asked, id=f"{asked.healing_id}.{EXPIRED}.{why}", event="expired", reason=UNANSWERED, at=rfc3339(now_ns))
    )
