"""Verdicts and thresholds as rows: the fields people look for, and the whole document."""

from __future__ import annotations

from typing import Any

from collector.bus.protocol import Record
from schemas.people import read_feedback, read_threshold
from sinks.record_rows import storable_ns

FEEDBACK_COLUMNS = (
    "Tenant",
    "DetectionId",
    "Who",
    "Version",
    "DetectionType",
    "Framework",
    "Tier",
    "Confidence",
    "FoundConfidence",
    "Verdict",
    "Note",
    "At",
    "Json",
)
THRESHOLD_COLUMNS = ("Tenant", "Detector", "Framework", "Version", "MinConfidence", "Who", "At", "Json")


def feedback_row(record: Record) -> tuple[int, tuple[Any, ...]]:
    """Write a verdict; raises UnreadableDocument, or ValueError for a time that is none."""
    said = read_feedback(record.value)
    return record.append_ns, (
        said.tenant,
        said.detection_id,
        said.who,
        said.version,
        said.detection_type,
        said.framework,
        said.tier,
        said.confidence,
        said.found_confidence,
        said.verdict,
        said.note,
        storable_ns(said.at),
        record.value.decode(),
    )


def threshold_row(record: Record) -> tuple[int, tuple[Any, ...]]:
    """Write a threshold; raises as above."""
    said = read_threshold(record.value)
    return record.append_ns, (
        said.tenant,
        said.detector,
        said.framework,
        said.version,
        said.min_confidence,
        said.who,
        storable_ns(said.at),
        record.value.decode(),
    )
