"""What people say: verdicts on detections (`feedback`), and thresholds changed at run time (`thresholds`). Both JSON.

Readers are strict about the fields they know and let those pass that a later writer adds.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.healing import Count, Id, Name, Share, UnreadableDocument
from schemas.keys import join_key
from schemas.timestamps import unix_ns

FEEDBACK_SCHEMA: Literal["tracemend.feedback/1"] = "tracemend.feedback/1"
THRESHOLD_SCHEMA: Literal["tracemend.threshold/1"] = "tracemend.threshold/1"
CORRECT, WRONG = "correct", "wrong"

Tier = Annotated[int, Meta(ge=0, le=255)]
Person = Annotated[str, Meta(min_length=1, max_length=256)]
Note = Annotated[str, Meta(max_length=4_096)]


class Feedback(msgspec.Struct, frozen=True, kw_only=True):
    """One person's verdict on one detection. What it was when it was judged travels along: detections leave the store.

    `tier` and `confidence` are those it was told with; `found_confidence` is the most its detector gave it, before
    any tier above looked: a threshold acts on that. `version` orders a person's verdicts: the highest one counts.
    """

    schema: Literal["tracemend.feedback/1"] = FEEDBACK_SCHEMA
    tenant: Name
    detection_id: Id
    detection_version: Count
    detection_type: Name
    framework: Name
    tier: Tier
    confidence: Share
    found_confidence: Share
    verdict: Literal["correct", "wrong"]
    who: Person
    note: Note
    version: Count
    at: str

    def __post_init__(self) -> None:
        unix_ns(self.at)


class Threshold(msgspec.Struct, frozen=True, kw_only=True):
    """From which confidence on a detector's finding is told. `framework` empty: of all; `min_confidence` null: unset.

    `detector` is a detection's type. `version` only grows: an older one changes nothing.
    """

    schema: Literal["tracemend.threshold/1"] = THRESHOLD_SCHEMA
    tenant: Name
    detector: Annotated[str, Meta(min_length=1, max_length=256)]
    framework: Name
    min_confidence: Share | None
    who: Person
    version: Count
    at: str

    def __post_init__(self) -> None:
        unix_ns(self.at)


def read_feedback(value: bytes) -> Feedback:
    """Read a verdict; raises UnreadableDocument."""
    try:
        return msgspec.json.decode(value, type=Feedback)
    except (ValueError, RecursionError) as error:
        raise UnreadableDocument(f"not a verdict: {error}") from error


def read_threshold(value: bytes) -> Threshold:
    """Read a threshold; raises UnreadableDocument."""
    try:
        return msgspec.json.decode(value, type=Threshold)
    except (ValueError, RecursionError) as error:
        raise UnreadableDocument(f"not a threshold: {error}") from error


def feedback_key(verdict: Feedback) -> str:
    """Build the key that verdicts on a detection stand under."""
    return join_key(verdict.tenant, verdict.detection_id)


def threshold_key(threshold: Threshold) -> str:
    """Build the key that a threshold stands under."""
    return join_key(threshold.tenant, threshold.detector, threshold.framework)
