"""The running counters say what a look back over the whole row would say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processors.loops.cycles import PERIODS, TELLING_REPETITION, Seen, begin_cycles


def seen(index: int, near: int, idle_ms: int = 0) -> Seen:
    return Seen(index, near, near, 0, 0, idle_ms, 0, 0, "", f"{index:016x}", "")


def looked_back(row: list[int]) -> int:
    """Find the shortest period that fills the end of the row three times."""
    for period in range(1, PERIODS + 1):
        end = row[-TELLING_REPETITION * period :]
        if len(end) == TELLING_REPETITION * period and end == end[:period] * TELLING_REPETITION:
            return period
    return 0


@given(st.lists(st.integers(0, 2), max_size=60))
def test_the_shortest_period_is_found_as_by_looking_back(row: list[int]) -> None:
    cycles = begin_cycles()
    for index, near in enumerate(row):
        cycles.take(seen(index, near))
        assert cycles.crossed() == looked_back(row[: index + 1])


@given(st.lists(st.integers(0, 3), max_size=20), st.integers(1, PERIODS), st.integers(3, 6))
def test_the_first_action_of_the_first_round_is_remembered(before: list[int], period: int, rounds: int) -> None:
    cycles = begin_cycles()
    row = [*before, 99, *(list(range(100, 100 + period)) * rounds)]
    for index, near in enumerate(row):
        cycles.take(seen(index, near))
    assert cycles.crossed() == period
    assert cycles.starts[period].index == len(before) + 1


def test_pauses_that_grow_are_a_back_off_and_even_ones_are_not() -> None:
    for pauses, expected in (((500, 1_000, 2_000), True), ((5, 6, 8), False), ((900, 900, 900), False)):
        cycles = begin_cycles()
        for index, pause in enumerate(pauses):
            cycles.take(seen(index, 1, pause))
        assert cycles.backs_off() is expected
