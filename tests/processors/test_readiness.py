"""How ready detectors are: the rule, and that verdicts only ever lower it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.readiness import (
    BETA,
    EXPERIMENTAL,
    LEVELS,
    PRODUCTION,
    UNMEASURED,
    Figures,
    after_verdicts,
    level_of,
    measured,
)


@pytest.mark.parametrize(
    ("figures", "level"),
    [
        (None, UNMEASURED),
        (Figures(10, 0, 0, 0), UNMEASURED),
        (Figures(0, 0, 5, 500), UNMEASURED),
        (Figures(45, 5, 5, 145), PRODUCTION),
        (Figures(45, 4, 5, 145), BETA),
        (Figures(6, 4, 4, 36), BETA),
        (Figures(6, 4, 5, 35), EXPERIMENTAL),
        (Figures(0, 50, 0, 500), EXPERIMENTAL),
    ],
)
def test_a_level_needs_runs_f1_and_precision(figures: Figures | None, level: str) -> None:
    assert level_of(figures) == level


@given(st.sampled_from(LEVELS), st.floats(0, 1))
def test_verdicts_never_raise_a_level(level: str, highest: float) -> None:
    assert LEVELS.index(after_verdicts(level, highest)) >= LEVELS.index(level)


def test_verdicts_lower_a_level_that_they_rule_out() -> None:
    assert after_verdicts(PRODUCTION, 0.8) == PRODUCTION
    assert after_verdicts(PRODUCTION, 0.7) == BETA
    assert after_verdicts(PRODUCTION, 0.5) == EXPERIMENTAL


def test_the_packaged_figures_are_counts() -> None:
    assert all(min(one.tp, one.fn, one.fp, one.tn) >= 0 for one in measured().values())
    assert "loop" in measured()
