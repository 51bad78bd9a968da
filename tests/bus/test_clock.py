"""Bus time: never back, never still, and in the end the wall clock's again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collector.bus.clock import BusClock

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND
START_NS = 1_800_000_000 * SECOND


class Clocks:
    """A wall clock that can be set, and a monotonic one that cannot."""

    def __init__(self, at_least_ns: int = 0) -> None:
        self.wall, self.monotonic = START_NS, 0
        self.bus = BusClock(at_least_ns, lambda: self.wall, lambda: self.monotonic)

    def passes(self, ns: int) -> None:
        self.wall, self.monotonic = self.wall + ns, self.monotonic + ns


def test_it_follows_the_wall_clock() -> None:
    clocks = Clocks()
    clocks.passes(10 * SECOND)
    assert clocks.bus.now_ns() == clocks.wall
    clocks.wall += HOUR
    assert clocks.bus.now_ns() == clocks.wall


def test_it_goes_on_at_half_speed_where_the_wall_clock_was_set_back_until_that_has_caught_up() -> None:
    clocks = Clocks()
    before = clocks.bus.now_ns()
    clocks.wall -= HOUR
    clocks.passes(600 * SECOND)
    assert clocks.bus.now_ns() == before + 300 * SECOND
    clocks.passes(2 * HOUR)
    assert clocks.bus.now_ns() == clocks.wall
    assert clocks.bus.ahead_seconds() == 0


def test_a_bus_that_was_further_goes_on_from_there() -> None:
    clocks = Clocks(at_least_ns=START_NS + HOUR)
    assert clocks.bus.now_ns() == START_NS + HOUR
    clocks.passes(10 * SECOND)
    assert clocks.bus.now_ns() == START_NS + HOUR + 5 * SECOND
    assert clocks.bus.ahead_seconds() > 0


@given(st.lists(st.tuples(st.integers(0, HOUR), st.integers(-2 * HOUR, 2 * HOUR)), max_size=30))
def test_it_never_goes_back_and_never_stands_still(moves: list[tuple[int, int]]) -> None:
    clocks = Clocks()
    last = clocks.bus.now_ns()
    for passed, set_by in moves:
        clocks.wall += set_by
        clocks.passes(passed)
        now = clocks.bus.now_ns()
        assert now >= last + passed // 2 - 1
        last = now
