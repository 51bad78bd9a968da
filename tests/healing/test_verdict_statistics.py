"""What people's verdicts say: intervals, majorities, and which thresholds are recommended."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healing.threshold_advice import KEEP, NOT_ENOUGH, RAISE, advise, quality
from healing.verdict_statistics import Judged, newest, settled, statistics, wilson
from schemas.people import CORRECT, WRONG, Feedback

AT = "2026-11-20T10:00:00Z"


def verdict(detection: int, says: str, who: str = "ada", version: int = 1, **more: object) -> Feedback:
    told: dict[str, object] = {
        "detection_type": "loop", "framework": "langgraph", "tier": 1, "confidence": 0.5, "found_confidence": 0.5,
    }  # fmt: skip
    return Feedback(
        tenant="default",
        detection_id=f"d{detection}",
        detection_version=1,
        verdict=says,  # type: ignore[arg-type]  # a constant of that Literal
        who=who,
        note="",
        version=version,
        at=AT,
        **(told | more),  # type: ignore[arg-type]  # the same fields
    )


@given(st.integers(0, 5_000), st.integers(0, 5_000))
def test_an_interval_holds_its_share_and_narrows_with_samples(correct: int, wrong: int) -> None:
    samples = correct + wrong
    low, high = wilson(correct, samples)
    assert 0 <= low <= high <= 1
    if samples:
        assert low <= correct / samples <= high
        more_low, more_high = wilson(correct * 4, samples * 4)
        assert more_high - more_low < high - low


@given(st.integers(0, 500), st.integers(0, 500))
def test_an_interval_of_the_opposite_is_its_mirror(correct: int, wrong: int) -> None:
    low, high = wilson(correct, correct + wrong)
    mirrored = wilson(wrong, correct + wrong)
    assert (1 - high, 1 - low) == pytest.approx(tuple(mirrored))


def test_wilson_is_what_the_literature_says() -> None:
    assert tuple(wilson(8, 10)) == pytest.approx((0.4902, 0.9433), abs=1e-4)  # Newcombe's method 3
    assert tuple(wilson(0, 0)) == (0, 1)
    with pytest.raises(ValueError, match="no share"):
        wilson(3, 2)


@given(st.permutations([(1, CORRECT), (2, WRONG), (3, CORRECT)]))
def test_the_later_verdict_of_a_person_counts_whatever_comes_first(order: list[tuple[int, str]]) -> None:
    (kept,) = newest([verdict(1, says, version=version) for version, says in order])
    assert (kept.version, kept.verdict) == (3, CORRECT)


def test_people_who_disagree_make_no_sample_and_a_majority_makes_one() -> None:
    split = [verdict(1, CORRECT, "ada"), verdict(1, WRONG, "ben")]
    assert [len(group) for group in settled(split)] == [0, 1]
    samples, disputed = settled([*split, verdict(1, WRONG, "cyd")])
    assert ([judged.is_correct for judged in samples], disputed) == ([False], [])


def test_statistics_are_by_detector_then_framework_and_tier() -> None:
    said = [
        verdict(1, CORRECT),
        verdict(2, WRONG),
        verdict(3, CORRECT, framework="", tier=4),
        verdict(4, CORRECT, "ada"),
    ]
    found = {(one.framework, one.tier): (one.samples, one.correct) for one in statistics(said)}
    assert found == {(None, None): (4, 3), ("langgraph", 1): (3, 2), ("", 4): (1, 1)}
    assert statistics([]) == []


def mixed(pairs: list[tuple[float, bool]]) -> list[Feedback]:
    return [verdict(n, CORRECT if right else WRONG, found_confidence=at) for n, (at, right) in enumerate(pairs)]


def test_nothing_is_recommended_without_samples_of_both_kinds() -> None:
    few = advise(mixed([(0.9, True), (0.4, False)]), lambda *_: 0.35)
    assert {one.advice for one in few} == {NOT_ENOUGH}
    assert all(one.proposed is None for one in few)
    all_right = advise(mixed([(0.9, True)] * 100), lambda *_: 0.35)
    assert {one.advice for one in all_right} == {NOT_ENOUGH}
    assert advise([], lambda *_: 0.35) == []


def test_a_threshold_between_right_and_wrong_is_found_with_what_it_changes() -> None:
    said = mixed([(0.9, True)] * 20 + [(0.5, False)] * 20 + [(0.45, True)] * 2)
    overall, of_framework = advise(said, lambda *_: 0.35)
    assert (overall.framework, of_framework.framework) == (None, "langgraph")
    assert (overall.advice, overall.proposed and overall.proposed.threshold) == (RAISE, 0.9)
    assert overall.current.precision == pytest.approx(22 / 42)
    assert overall.proposed is not None
    assert overall.proposed.precision == 1
    assert overall.proposed.recall == pytest.approx(20 / 22)


def test_a_threshold_that_is_as_good_as_any_is_kept() -> None:
    (advice, _) = advise(mixed([(0.9, True)] * 20 + [(0.5, False)] * 20), lambda *_: 0.9)
    assert (advice.advice, advice.current) == (KEEP, advice.proposed)


SAMPLES = st.lists(
    st.tuples(st.floats(0, 1), st.booleans()).map(lambda drawn: Judged("loop", "", 1, *drawn)), max_size=60
)


@given(SAMPLES, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_never_tells_more(samples: list[Judged], one: float, other: float) -> None:
    low, high = quality(samples, min(one, other)), quality(samples, max(one, other))
    assert high.told <= low.told
    assert (high.recall or 0) <= (low.recall or 0)


@given(st.lists(st.tuples(st.sampled_from((0.4, 0.5, 0.7, 0.9)), st.booleans()), min_size=30, max_size=80))
def test_no_recommendation_is_worse_than_what_holds(pairs: list[tuple[float, bool]]) -> None:
    for advice in advise(mixed(pairs), lambda *_: 0.5):
        assert advice.proposed is None or advice.proposed.f1 >= advice.current.f1
