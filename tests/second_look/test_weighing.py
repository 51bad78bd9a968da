"""What a similarity does to a confidence: more likeness never speaks less for it, and nothing becomes quite sure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.looking.weighing import ABOUT, AWAY, MOST_SURE, SAME, Scale, moved
from schemas.detection import GREY_ZONE

SCALES = (SAME, ABOUT, AWAY)
cosines = st.floats(-1, 1)
grey = st.floats(GREY_ZONE[0], GREY_ZONE[1], exclude_max=True)


@pytest.mark.parametrize("scale", SCALES)
@given(one=cosines, other=cosines, confidence=grey)
def test_more_likeness_never_speaks_less_for_what_says_that_texts_are_alike(
    scale: Scale, one: float, other: float, confidence: float
) -> None:
    less, more = sorted((one, other), reverse=not scale.speaks_for)
    assert moved(confidence, scale.agreement([less])) <= moved(confidence, scale.agreement([more]))


@pytest.mark.parametrize("scale", SCALES)
@given(confidence=grey, found=st.lists(cosines, min_size=1, max_size=11))
def test_confidence_stays_a_confidence_and_mends_nothing_by_itself(
    scale: Scale, confidence: float, found: list[float]
) -> None:
    assert 0 <= moved(confidence, scale.agreement(found)) <= MOST_SURE < 0.8


@pytest.mark.parametrize("scale", [SAME, ABOUT])
@given(confidence=grey)
def test_the_ends_of_a_scale_take_any_finding_out_of_the_grey_zone_and_its_middle_none(
    scale: Scale, confidence: float
) -> None:
    assert moved(confidence, scale.agreement([scale.alike])) >= GREY_ZONE[1]
    assert moved(confidence, scale.agreement([scale.unlike])) <= GREY_ZONE[0]
    assert moved(confidence, scale.agreement([(scale.alike + scale.unlike) / 2])) == pytest.approx(confidence, abs=1e-4)


@given(confidence=grey, cosine=st.floats(-1, (AWAY.alike + AWAY.unlike) / 2))
def test_an_answer_unlike_its_task_says_nothing_and_one_like_it_clears(confidence: float, cosine: float) -> None:
    assert moved(confidence, AWAY.agreement([cosine])) == pytest.approx(confidence, abs=1e-4)
    assert moved(confidence, AWAY.agreement([AWAY.alike])) <= GREY_ZONE[0]


def test_of_many_pairs_the_one_in_the_middle_counts_and_of_many_answers_the_nearest() -> None:
    assert SAME.agreement([0.9, 0.9, 0.1]) == 1
    assert AWAY.agreement([0.1, 0.1, 0.9]) == -1
