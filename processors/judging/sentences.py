"""From a case to its ruling, and from a ruling to what readers see: which version is published when, and over what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from collector.bus.protocol import Outgoing, State
from processors.judging.cases import Case, Docket
from processors.judging.rulings import (
    UNJUDGED,
    UNSURE,
    Ruling,
    detection_record,
    escalation_record,
    is_live,
    ruling_of,
    under,
)
from processors.runs.publishing import Versions
from schemas.keys import join_key
from schemas.metrics import JUDGE_RULINGS

MOST_RULINGS = 3
"""How often one detection is judged while it goes on and looks different each time; then the last ruling stands."""


class Sentences:
    """Makes rulings, and keeps them standing over what detectors tell later."""

    def __init__(self, docket: Docket, clock_ns: Callable[[], int]) -> None:
        self._docket = docket
        self._clock_ns = clock_ns
        self._versions = Versions()

    @staticmethod
    def key_of(document: dict[str, Any]) -> str:
        """Name the rows of a detection."""
        return join_key(document["tenant"], document["run_id"], document["id"])

    def has_ruled(self, case: Case, state: State) -> bool:
        """Say whether the ruling there is holds for what a case would show now, or was the last one."""
        ruling = self._docket.ruling(case.key, state)
        if ruling is None or ruling.ruling == UNJUDGED or case.exhibit is None:
            return False
        return ruling.content == case.exhibit.content or ruling.judged >= MOST_RULINGS

    def conclude(self, case: Case, state: State, now_ns: int, why: str) -> Sequence[Outgoing]:
        """End a case: with what its last opinion says, or unjudged. `why` says what kept the judge from more."""
        before = self._docket.ruling(case.key, state)
        ruling = _ruling(case, before, why)
        JUDGE_RULINGS.labels(ruling=ruling.ruling, reason=ruling.why).inc()
        self._docket.drop(case)
        document = case.told()
        if not is_live(document):
            self._docket.rule(case.key, None, now_ns)
            return ()
        published = self._publish(case.key, ruling, document, now_ns)
        return [published, escalation_record(document, b"human")] if ruling.ruling == UNSURE else [published]

    def uphold(self, key: str, document: dict[str, Any], state: State, now_ns: int) -> Sequence[Outgoing]:
        """Lay the ruling on a detection, if there is one, over what its detector tells now."""
        ruling = self._docket.ruling(key, state)
        if ruling is None or document["version"] <= ruling.seen:
            return ()
        if is_live(document):
            return [self._publish(key, ruling, document, now_ns)]
        self._docket.rule(key, None, now_ns)
        if document["version"] > ruling.version:
            return ()
        version = self._versions.next(now_ns, above=ruling.version)  # told before it could know of the ruling
        return [detection_record({**document, "version": version})]

    def _publish(self, key: str, ruling: Ruling, document: dict[str, Any], now_ns: int) -> Outgoing:
        version = self._versions.next(now_ns, above=max(ruling.version, document["version"]))
        self._docket.rule(key, msgspec.structs.replace(ruling, version=version, seen=document["version"]), now_ns)
        return detection_record(under(ruling, document, version, self._clock_ns()))


def _ruling(case: Case, before: Ruling | None, why: str) -> Ruling:
    """Make the ruling of a case; where it brought nothing, the one before it goes on, at a higher price."""
    micro_usd = case.spent + (before.micro_usd if before else 0)
    judged = 1 + (before.judged if before else 0)
    opinion = case.opinion
    if opinion is None:
        if before is not None:
            return msgspec.structs.replace(before, micro_usd=micro_usd, judged=judged)
        content = case.exhibit.content if case.exhibit else ""
        return Ruling(UNJUDGED, 0.5, why or "discarded", "", "", (), micro_usd, content, judged)
    exhibit = case.exhibit
    spans = {one.label: one.span_id for one in exhibit.shown} if exhibit else {}
    return Ruling(
        ruling=ruling_of(opinion.failure),
        failure=opinion.failure,
        why=why,
        model=opinion.model,
        reason=opinion.reason,
        quotes=tuple((spans.get(label, ""), quote) for label, quote in opinion.quotes),
        micro_usd=micro_usd,
        content=exhibit.content if exhibit else "",
        judged=judged,
        version=before.version if before else 0,
    )
