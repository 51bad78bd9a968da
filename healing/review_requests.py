"""Asks people about detections that the tiers below could not settle, and takes a question back that settles itself.

What is asked: a detection that stays grey once the judge has ruled on it, or where nobody judges once it is over; and
a critical one that nobody is very sure of. No answer applies anything (`review_answers.py`). Each detection is asked
about at most once, and each tenant at most so many times an hour of bus time; what is left out is counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from collector.bus.dead_letters import dead_letter
from collector.bus.protocol import Batch, Handled, Outgoing, Record, State
from healing.draft import Draft
from healing.events import outgoing
from healing.reviews import JUDGED, SETTLED, Reviewed, is_settled, read_reviewed, review, review_id
from schemas.detection import CLOSED, GREY_ZONE
from schemas.healing import Approval, UnreadableDocument
from schemas.keys import join_key
from schemas.metrics import REVIEWS
from schemas.timestamps import SECOND_NS, rfc3339
from schemas.topics import DETECTIONS

ASKED_STORE, HOURS_STORE = "asked", "hours"
HOUR_NS = 3_600 * SECOND_NS
REMEMBER_NS = 7 * 24 * HOUR_NS
"""How long it is remembered that a detection was asked about."""
OLD_NS = 24 * HOUR_NS
"""How long ago a detection was told that is not asked about any more, as after a backfill."""
TICK_LIMIT = 500


class ReviewRequests:
    """Reads `detections`. `per_hour`: questions of one tenant; `is_judged`: whether a judge looks at grey ones first.

    `most` bounds the detections that are remembered as asked about.
    """

    group = "review_requests"
    topics: Sequence[str] = (DETECTIONS,)

    def __init__(self, per_hour: int, is_judged: bool, most: int = 10_000) -> None:
        self._per_hour = per_hour
        self._is_judged = is_judged
        self._most = most

    def restore(self, state: State) -> None:
        """Keep nothing outside the committed state."""

    def handle(self, batch: Batch, state: State) -> Handled:
        """Look at what was told, then forget what is old."""
        draft = Draft(state)
        outputs = [out for record in batch.records for out in self._record(record, draft, batch.now_ns)]
        for store in (ASKED_STORE, HOURS_STORE):
            for key in draft.due(store, batch.now_ns, TICK_LIMIT):
                draft.drop(store, key)
        return Handled(outputs, draft.changes())

    def _record(self, record: Record, draft: Draft, now_ns: int) -> Iterator[Outgoing]:
        try:
            seen = read_reviewed(record)
        except UnreadableDocument as error:
            yield dead_letter(record, error, self.group)
            return
        key = join_key(seen.tenant, seen.id)
        asked = draft.get(ASKED_STORE, key)
        if asked is not None:
            yield from self._look_again(key, asked, seen, draft, now_ns)
        elif self._needs_a_person(seen, record.headers.get("ce_source", b"") == JUDGED):
            yield from self._ask(key, seen, record, draft, now_ns)

    def _needs_a_person(self, seen: Reviewed, by_judge: bool) -> bool:
        if is_settled(seen):
            return False
        if seen.confidence >= GREY_ZONE[1]:
            return True  # a critical one
        return by_judge or (not self._is_judged and seen.status == CLOSED)

    def _ask(self, key: str, seen: Reviewed, record: Record, draft: Draft, now_ns: int) -> Iterator[Outgoing]:
        why_not = self._why_not(seen.tenant, record.append_ns, draft, now_ns)
        REVIEWS.labels(outcome="left_out" if why_not else "asked", reason=why_not).inc()
        if why_not:
            return
        question = review(seen, now_ns)
        kept = msgspec.msgpack.encode(replace(question, hand_off=None))
        draft.put(ASKED_STORE, key, kept, now_ns + REMEMBER_NS)
        self._count(seen.tenant, draft, now_ns)
        yield outgoing(question)

    def _look_again(self, key: str, asked: bytes, seen: Reviewed, draft: Draft, now_ns: int) -> Iterator[Outgoing]:
        """Take the question back once nobody needs an answer; that is told once, and it is not asked again."""
        question = msgspec.msgpack.decode(asked, type=Approval)
        if question.event != "requested" or seen.version <= question.detection_version or not is_settled(seen):
            return
        REVIEWS.labels(outcome="taken_back", reason=seen.status).inc()
        past = replace(
            question,
            id=f"{review_id(seen.tenant, seen.id)}.expired.{seen.version}",
            event="expired",
            detection_version=seen.version,
            reason=SETTLED,
            at=rfc3339(now_ns),
        )
        draft.put(ASKED_STORE, key, msgspec.msgpack.encode(past), now_ns + REMEMBER_NS)
        yield outgoing(past)

    # --- how many ---

    def _why_not(self, tenant: str, told_ns: int, draft: Draft, now_ns: int) -> str:
        if now_ns - told_ns > OLD_NS:
            return "old"
        if self._asked_this_hour(tenant, draft, now_ns) >= self._per_hour:
            return "hour_full"
        return "too_many" if draft.count(ASKED_STORE) >= self._most else ""

    def _asked_this_hour(self, tenant: str, draft: Draft, now_ns: int) -> int:
        kept = draft.get(HOURS_STORE, join_key(tenant))
        hour, count = msgspec.msgpack.decode(kept, type=tuple[int, int]) if kept else (0, 0)
        return count if hour == now_ns // HOUR_NS else 0

    def _count(self, tenant: str, draft: Draft, now_ns: int) -> None:
        hour, count = now_ns // HOUR_NS, self._asked_this_hour(tenant, draft, now_ns) + 1
        draft.put(HOURS_STORE, join_key(tenant), msgspec.msgpack.encode((hour, count)), (hour + 1) * HOUR_NS)
