"""Which threshold people's verdicts speak for, and what it would change. Pure.

Verdicts exist only on what was told, so what a threshold in force holds back is not seen here: recall is over judged
detections, and nothing below the lowest judged confidence can be recommended. The threshold is chosen on the same
verdicts that its figures are of, so these are a little too good; the intervals do not cover that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from healing.verdict_statistics import Interval, Judged, settled, wilson
from schemas.people import Feedback

MIN_SAMPLES = 30
"""Judged detections below which nothing is recommended: Wilson's interval is then up to 0.34 wide."""
MIN_OF_EACH = 5
"""How many of them have to be correct, and how many wrong: without both no threshold tells them apart."""
MIN_GAIN = 0.02
"""F1 that a change has to bring to be recommended."""

RAISE, LOWER, KEEP, NOT_ENOUGH = "raise", "lower", "keep", "not enough samples"


class Quality(NamedTuple):
    """What is told from a threshold on, over judged detections. Intervals are of 95 %."""

    threshold: float
    told: int
    precision: float | None
    precision_interval: Interval
    recall: float | None
    recall_interval: Interval
    f1: float


class Advice(NamedTuple):
    """What is recommended for a detector and framework (None: all of them) beside what holds now.

    `proposed` is None where there are not enough samples.
    """

    detector: str
    framework: str | None
    samples: int
    correct: int
    advice: str
    why: str
    current: Quality
    proposed: Quality | None


def quality(samples: Sequence[Judged], threshold: float) -> Quality:
    """Say what a threshold tells of samples: a finding is told from it on."""
    told = [judged for judged in samples if judged.confidence >= threshold]
    right, correct = sum(judged.is_correct for judged in told), sum(judged.is_correct for judged in samples)
    missed, wrong = correct - right, len(told) - right
    return Quality(
        threshold,
        len(told),
        right / len(told) if told else None,
        wilson(right, len(told)),
        right / correct if correct else None,
        wilson(right, correct),
        2 * right / (2 * right + wrong + missed) if right else 0.0,
    )


def advise(verdicts: Iterable[Feedback], in_force: Callable[[str, str], float]) -> list[Advice]:
    """Recommend for each detector, over all frameworks and for each; `in_force` gives what holds for both names."""
    groups: dict[tuple[str, str | None], list[Judged]] = defaultdict(list)
    for judged in settled(verdicts)[0]:
        groups[judged.detector, None].append(judged)
        if judged.framework:
            groups[judged.detector, judged.framework].append(judged)
    order = sorted(groups, key=lambda group: (group[0], group[1] or ""))
    return [_advice(group, groups[group], in_force(group[0], group[1] or "")) for group in order]


def _advice(group: tuple[str, str | None], samples: Sequence[Judged], now: float) -> Advice:
    correct = sum(judged.is_correct for judged in samples)
    current = quality(samples, now)
    lacking = _lacking(len(samples), correct)
    if lacking:
        return Advice(*group, len(samples), correct, NOT_ENOUGH, lacking, current, None)
    best = _best(samples, current)
    gain = best.f1 - current.f1
    if gain < MIN_GAIN:
        return Advice(*group, len(samples), correct, KEEP, f"no other brings {MIN_GAIN} of F1", current, current)
    verb = RAISE if best.threshold > now else LOWER
    return Advice(*group, len(samples), correct, verb, f"brings {gain:.2f} of F1", current, best)


def _lacking(samples: int, correct: int) -> str:
    if samples < MIN_SAMPLES:
        return f"{samples} judged, {MIN_SAMPLES} are needed"
    if min(correct, samples - correct) < MIN_OF_EACH:
        return f"{correct} correct and {samples - correct} wrong, {MIN_OF_EACH} of each are needed"
    return ""


def _best(samples: Sequence[Judged], current: Quality) -> Quality:
    """Find the threshold of the highest F1 among judged confidences; of equal ones the lowest, which hides least."""
    thresholds = sorted({judged.confidence for judged in samples})
    return max((current, *(quality(samples, threshold) for threshold in thresholds)), key=lambda one: one.f1)
