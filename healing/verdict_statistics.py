"""What people's verdicts say of detectors: precision with an interval, by detector, framework and tier. Pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from schemas.people import CORRECT, Feedback

Z = 1.959963984540054
"""The normal quantile of a two-sided interval of 95 %."""


class Interval(NamedTuple):
    """From where to where a share may lie, 0-1."""

    low: float
    high: float


class Judged(NamedTuple):
    """One detection people agree about. `confidence` is the detector's own, 0-1."""

    detector: str
    framework: str
    tier: int
    confidence: float
    is_correct: bool


class Precision(NamedTuple):
    """What a group of judged detections shows. `framework` "" stands for unknown, None for all; `tier` None for all.

    `disputed`: detections on which as many people said one thing as the other; they are no samples.
    """

    detector: str
    framework: str | None
    tier: int | None
    samples: int
    correct: int
    disputed: int
    precision: float | None
    low: float
    high: float


def wilson(successes: int, samples: int) -> Interval:
    """Give Wilson's score interval (95 %) of a share; from 0 to 1 where there are no samples.

    Raises ValueError for counts that cannot be.
    """
    if not 0 <= successes <= samples:
        raise ValueError(f"{successes} of {samples} is no share")
    if not samples:
        return Interval(0.0, 1.0)
    share, square = successes / samples, Z * Z
    middle = share + square / (2 * samples)
    spread = Z * math.sqrt(share * (1 - share) / samples + square / (4 * samples * samples))
    low, high = ((middle + sign * spread) / (1 + square / samples) for sign in (-1, 1))
    return Interval(min(share, max(0.0, low)), max(share, min(1.0, high)))


def newest(verdicts: Iterable[Feedback]) -> list[Feedback]:
    """Keep of each person's verdicts on a detection the one of the highest version."""
    kept: dict[tuple[str, str, str], Feedback] = {}
    for said in verdicts:
        key = (said.tenant, said.detection_id, said.who)
        if key not in kept or said.version > kept[key].version:
            kept[key] = said
    return list(kept.values())


def settled(verdicts: Iterable[Feedback]) -> tuple[list[Judged], list[Judged]]:
    """Make one sample of all verdicts on a detection, by majority; gives the samples and those that are disputed.

    What the detection was is taken from the verdict of the highest version.
    """
    by_detection: dict[tuple[str, str], list[Feedback]] = defaultdict(list)
    for said in newest(verdicts):
        by_detection[said.tenant, said.detection_id].append(said)
    samples: list[Judged] = []
    disputed: list[Judged] = []
    for said_of_it in by_detection.values():
        balance = sum(1 if said.verdict == CORRECT else -1 for said in said_of_it)
        last = max(said_of_it, key=lambda said: said.version)
        judged = Judged(last.detection_type, last.framework, last.tier, last.found_confidence, balance > 0)
        (samples if balance else disputed).append(judged)
    return samples, disputed


def statistics(verdicts: Iterable[Feedback]) -> list[Precision]:
    """Give each detector's precision: over all, then by framework and tier, in order of their names."""
    samples, disputed = settled(verdicts)
    groups: dict[tuple[str, str | None, int | None], list[Judged]] = defaultdict(list)
    unsure: Counter[tuple[str, str | None, int | None]] = Counter()
    for judged in samples:
        for group in _groups(judged):
            groups[group].append(judged)
    for judged in disputed:
        unsure.update(_groups(judged))
    found = [_precision(group, groups[group], unsure[group]) for group in {*groups, *unsure}]
    return sorted(found, key=lambda one: (one.detector, one.framework is not None, one.framework or "", one.tier or 0))


def _groups(judged: Judged) -> Sequence[tuple[str, str | None, int | None]]:
    return (judged.detector, None, None), (judged.detector, judged.framework, judged.tier)


def _precision(group: tuple[str, str | None, int | None], samples: Sequence[Judged], disputed: int) -> Precision:
    correct = sum(judged.is_correct for judged in samples)
    share = correct / len(samples) if samples else None
    return Precision(*group, len(samples), correct, disputed, share, *wilson(correct, len(samples)))
