"""The words in which a derailment is told, and how the run came to it: slowly, at once, or from its first step."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from schemas.canonical import content_hash
from schemas.detection import CLOSED, Finding
from schemas.step import SpanRef

NEVER, SLOW, SUDDEN = "never", "slow", "sudden"
LEFT, JUMP = 0.12, 0.7
"""How much nearer to the task a run's first part must be than its last for it to have left it; and which part of that
one step must make up for it to be a jump."""
PREVIEW_CAP = 120


class Course(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How near one step came to the words of the task, 0 to 1."""

    span: SpanRef
    near: float


def course_of(steps: Sequence[Course]) -> tuple[str, int]:
    """Say how a run left its task, and with which of the steps: one that parts nearer ones from farther ones best."""
    if len(steps) < 2:
        return NEVER, 0
    place = max(range(1, len(steps)), key=lambda at: _mean(steps[:at]) - _mean(steps[at:]))
    left = _mean(steps[:place]) - _mean(steps[place:])
    if left < LEFT:
        return NEVER, 0
    jump = steps[place - 1].near - steps[place].near
    return (SUDDEN if jump >= JUMP * left and _is_level(steps[:place], left) else SLOW), place


def _is_level(steps: Sequence[Course], left: float) -> bool:
    """Say whether the first half of a part is no nearer to the task than its second half is."""
    half = len(steps) // 2
    return not half or _mean(steps[:half]) - _mean(steps[half:]) < left / 2


def _mean(steps: Sequence[Course]) -> float:
    return sum(step.near for step in steps) / len(steps)


def report(task: str, asked: SpanRef, steps: Sequence[Course], spoken: float, sure: float, at_ns: int) -> Finding:
    """Tell of a run that was not about its task."""
    course, place = course_of(steps)
    crossing = steps[place].span
    score = round(100 * sure)
    how = {NEVER: "It never was", SLOW: "It went away from it slowly", SUDDEN: "It left it at once"}[course]
    return Finding(
        type="derailment",
        fingerprint=content_hash(task.encode()),
        first=asked,
        spans=(asked, crossing) if crossing != asked else (asked,),
        status=CLOSED,
        tier=3,
        confidence=round(sure, 4),
        severity="medium" if score >= 55 else "low",
        score=score,
        title="{agent} did not speak of what it was asked",
        explanation=(
            f"The run covered {spoken:.0%} of the words of its task ({task[:PREVIEW_CAP]}) and was mostly about other "
            f"things. {how}."
        ),
        evidence={
            "coverage": round(spoken, 3),
            "course": course,
            "task_words": task[:PREVIEW_CAP],
            "steps": len(steps),
        },
        event_time_ns=at_ns,
        stage=1,
    )
