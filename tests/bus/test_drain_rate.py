"""How fast a backlog is read: what is measured, what is passed over, and within which bounds."""

from __future__ import annotations

import pytest

from collector.bus.drain_rate import (
    FIRST_BYTES_A_SECOND,
    LEAST_BYTES_A_SECOND,
    MOST_BYTES_A_SECOND,
    DrainRate,
)

MIB = 1 << 20


def measured(read_a_second: int, seconds: int, every: float = 0.25, unread: int = 100 * MIB) -> float:
    rate, at = DrainRate(), 0.0
    while at < seconds:
        rate.saw(at, read_a_second * every, unread)
        at += every
    return rate.bytes_a_second()


@pytest.mark.parametrize("every", [0.02, 0.25, 2.0])
def test_it_comes_to_what_is_read_however_often_one_looks(every: float) -> None:
    assert measured(2 * MIB, 60, every) == pytest.approx(2 * MIB, rel=0.05)
    assert measured(40 * MIB, 60, every) == pytest.approx(40 * MIB, rel=0.05)


def test_a_reader_that_has_nothing_to_read_says_nothing_of_how_fast_it_could() -> None:
    rate = DrainRate()
    for second in range(100):
        rate.saw(second, 10, 0)
    rate.saw(1_000, 10, MIB)
    assert rate.bytes_a_second() == FIRST_BYTES_A_SECOND


def test_a_moment_changes_little_and_the_rate_stays_within_bounds() -> None:
    rate = DrainRate()
    rate.saw(0.0, 0, MIB)
    rate.saw(0.2, 0, MIB)
    assert rate.bytes_a_second() > 0.9 * FIRST_BYTES_A_SECOND
    assert measured(0, 600) == LEAST_BYTES_A_SECOND
    assert measured(1 << 40, 600) == MOST_BYTES_A_SECOND
