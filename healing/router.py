"""The healing router: detections that suggest a fix become healing requests.

A detection's requests all stand under the key of its first one, so that one owner sees them in order,
also when the agent's name arrives with a later version.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from collector.bus.dead_letters import dead_letter
from collector.bus.protocol import Batch, Handled, Outgoing, Record, State
from healing.draft import Draft
from healing.events import healing_id, outgoing
from healing.published_detections import PublishedDetection, read_detection
from schemas.detection import WITHDRAWN
from schemas.healing import PROPOSE, WITHDRAW, HealingRequest, UnreadableDocument, healing_key, risk_of
from schemas.keys import join_key
from schemas.metrics import HEALING_DECISIONS
from schemas.timestamps import SECOND_NS, rfc3339
from schemas.topics import DETECTIONS

STORE = "requested"
REMEMBER_NS = 7 * 86_400 * SECOND_NS
"""As long as the topic keeps detections."""
TICK_LIMIT = 500


class Requested(msgspec.Struct, frozen=True, array_like=True):
    """Under which key a detection's requests stand, and the last version one was made for."""

    service: str
    agent: str
    version: int


class HealingRouter:
    """Reads `detections`, writes `healing`. `remembered` bounds how many detections it knows."""

    group = "healing_router"
    topics: Sequence[str] = (DETECTIONS,)

    def __init__(self, remembered: int = 50_000) -> None:
        self._remembered = remembered

    def restore(self, state: State) -> None:
        """Nothing is kept outside the committed state."""

    def handle(self, batch: Batch, state: State) -> Handled:
        """Make a request of each new version of a detection that has a fix, or had one and is withdrawn."""
        draft = Draft(state)
        outputs = [out for record in batch.records for out in self._route(record, draft, batch.now_ns)]
        self._forget(draft, batch.now_ns)
        return Handled(outputs, draft.changes())

    def _route(self, record: Record, draft: Draft, now_ns: int) -> Iterator[Outgoing]:
        try:
            detection = read_detection(record)
            request = self._request(detection, draft, now_ns)
            if request is not None:
                yield outgoing(request)._replace(key=self._home(detection, draft, now_ns))
        except UnreadableDocument as error:
            yield dead_letter(record, error, self.group)

    def _request(self, detection: PublishedDetection, draft: Draft, now_ns: int) -> HealingRequest | None:
        known = _known(detection, draft)
        withdrawn = detection.status == WITHDRAWN
        if known is None if withdrawn else detection.suggested_fix is None:
            return None
        if known is not None and detection.version <= known.version:
            return None
        fix = None if withdrawn else detection.suggested_fix
        return HealingRequest(
            id=healing_id(detection.tenant, detection.id),
            action=WITHDRAW if withdrawn else PROPOSE,  # type: ignore[arg-type]  # constants of that Literal
            tenant=detection.tenant,
            service=detection.service,
            agent=detection.agent,
            detection=detection.seen(),
            fix=fix,
            risk=risk_of(fix.fix_type) if fix else None,  # type: ignore[arg-type]  # as above
            at=rfc3339(now_ns),
        )

    def _home(self, detection: PublishedDetection, draft: Draft, now_ns: int) -> str:
        known = _known(detection, draft)
        home = known or Requested(detection.service or "", detection.agent or "", 0)
        value = msgspec.msgpack.encode(msgspec.structs.replace(home, version=detection.version))
        draft.put(STORE, _state_key(detection), value, now_ns + REMEMBER_NS)
        return healing_key(detection.tenant, home.service, home.agent)

    def _forget(self, draft: Draft, now_ns: int) -> None:
        for key in draft.due(STORE, now_ns, TICK_LIMIT):
            draft.drop(STORE, key)
        for key in draft.excess(STORE, self._remembered):
            draft.drop(STORE, key)
            HEALING_DECISIONS.labels(decision="forgotten", reason="router_cap").inc()


def _known(detection: PublishedDetection, draft: Draft) -> Requested | None:
    value = draft.get(STORE, _state_key(detection))
    return None if value is None else msgspec.msgpack.decode(value, type=Requested)


def _state_key(detection: PublishedDetection) -> str:
    return join_key(detection.tenant, detection.id)
