"""Detections of a run as a diagnosis needs them: the newest version of each, without its evidence and its fix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from schemas.detection import WITHDRAWN
from schemas.step import SpanRef
from schemas.timestamps import unix_ns

TELLER = "run_tracker"
"""Who diagnoses, and tells that a run fell short: what it told itself is no cause of what it finds."""
MOST_SPANS, MOST_TOLD = 8, 64
TITLE_CHARACTERS = 240


class Told(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A detection. `spans` begins with the first of its evidence and ends with the one that crossed the line."""

    id: str
    version: int
    type: str
    status: str
    severity: str
    confidence: float
    agent: str
    title: str
    at_ns: int
    spans: tuple[SpanRef, ...]

    @property
    def stands(self) -> bool:
        """Say whether it is one still."""
        return self.status != WITHDRAWN


class _Span(msgspec.Struct):
    trace_id: str
    span_id: str


class _Document(msgspec.Struct):
    """What is read of `tracemend.detection/1`."""

    id: str
    tenant: str
    run_id: str
    version: int
    type: str
    status: str
    severity: str
    confidence: float
    agent: str | None
    title: str
    event_time: str
    spans: list[_Span]
    processor: str = ""


_decode = msgspec.json.Decoder(_Document).decode


class Telling(msgspec.Struct, frozen=True, array_like=True):
    """A detection, and whose run it is about."""

    tenant: str
    run_id: str
    told: Told


def read_told(value: bytes) -> Telling | None:
    """Read a `detections` record; None for our own, raises msgspec.DecodeError or ValueError for what is none."""
    document = _decode(value)
    return None if document.processor == TELLER else Telling(document.tenant, document.run_id, _told(document))


def told_of(documents: Iterable[dict[str, Any]]) -> list[Told]:
    """Read detections that are documents already, but for our own; raises as above."""
    read = (msgspec.convert(document, _Document) for document in documents)
    return [_told(document) for document in read if document.processor != TELLER]


def standing(told: Iterable[Told]) -> list[Told]:
    """Give the detections that stand, by when they happened; of too many the surest."""
    kept = sorted((one for one in told if one.stands), key=lambda one: (-one.confidence, one.at_ns, one.id))
    return sorted(kept[:MOST_TOLD], key=lambda one: (one.at_ns, one.id))


def _told(document: _Document) -> Told:
    spans = [SpanRef(span.trace_id, span.span_id) for span in document.spans]
    kept = spans if len(spans) <= MOST_SPANS else [*spans[: MOST_SPANS - 1], spans[-1]]
    return Told(
        document.id,
        document.version,
        document.type,
        document.status,
        document.severity,
        document.confidence,
        document.agent or "",
        document.title[:TITLE_CHARACTERS],
        unix_ns(document.event_time),
        tuple(kept),
    )
