"""The words in which a derailment is told: a run that left its task, never spoke of it, or ends with other plans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from processors.meaning.task_course import SLOW, SUDDEN, Course, Departure
from schemas.canonical import content_hash
from schemas.detection import CLOSED, Finding
from schemas.step import SpanRef

NEVER, PLANS = "never", "plans"
SURE_OF_PLANS = 0.7
"""Of 11 runs that were told of and had been looked at by people all were derailed: 95 % sure of 74 % or more."""
PREVIEW_CAP = 120
_HOW = {SLOW: "It went away from it slowly.", SUDDEN: "It left it at once."}


def report_left(task: str, asked: SpanRef, course: Sequence[Course], left: Departure, at_ns: int) -> Finding:
    """Tell of a run that was about its task and left it."""
    sure = 0.5 + min(0.1, (left.stands_out - 1) / 10) + (0.05 if left.after <= 0 else 0.0)
    explanation = (
        f"Its steps came nearer to its task ({task[:PREVIEW_CAP]}) than to words about nothing in particular, by "
        f"{left.before:.2f}; the last {len(course) - left.place} of them by {left.after:.2f}. {_HOW[left.how]}"
    )
    evidence: dict[str, Any] = {
        "near_before": round(left.before, 3),
        "near_after": round(left.after, 3),
        "course": left.how,
    }
    title = "{agent} went away from what it was asked"
    crossing = course[left.place].span
    return _finding(task, (asked, crossing), sure, title, explanation, {**evidence, "steps": len(course)}, at_ns)


def report_never(
    task: str, asked: SpanRef, course: Sequence[Course], spoken: float, sure: float, at_ns: int
) -> Finding:
    """Tell of a run that was not about its task."""
    explanation = (
        f"The run covered {spoken:.0%} of the words of its task ({task[:PREVIEW_CAP]}) and was mostly about other "
        f"things. It never was about it."
    )
    evidence: dict[str, Any] = {"coverage": round(spoken, 3), "course": NEVER, "steps": len(course)}
    title = "{agent} did not speak of what it was asked"
    return _finding(task, (asked, course[0].span), sure, title, explanation, evidence, at_ns)


def report_plans(task: str, spans: tuple[SpanRef, SpanRef], plans: Sequence[str], at_ns: int) -> Finding:
    """Tell of a run whose last answer announces other work than it was asked for."""
    named = ", ".join(plans[:8])
    explanation = (
        f"Its last answer mostly announces what it will or should do, and that is not what it was asked "
        f"({task[:PREVIEW_CAP]}), but about: {named}."
    )
    evidence: dict[str, Any] = {"course": PLANS, "unasked": plans[:8]}
    title = "{agent} ended with plans for work that nobody asked for"
    return _finding(task, spans, SURE_OF_PLANS, title, explanation, evidence, at_ns)


def _finding(
    task: str,
    spans: tuple[SpanRef, SpanRef],
    sure: float,
    title: str,
    explanation: str,
    evidence: dict[str, Any],
    at_ns: int,
) -> Finding:
    score = round(100 * sure)
    return Finding(
        type="derailment",
        fingerprint=content_hash(task.encode()),
        first=spans[0],
        spans=spans if spans[0] != spans[1] else spans[:1],
        status=CLOSED,
        tier=3,
        confidence=round(sure, 4),
        severity="medium" if score >= 55 else "low",
        score=score,
        title=title,
        explanation=explanation,
        evidence={**evidence, "task_words": task[:PREVIEW_CAP]},
        event_time_ns=at_ns,
        stage=1,
    )
