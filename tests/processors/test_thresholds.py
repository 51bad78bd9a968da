"""Thresholds that people set: which of them holds, how the board follows them, and what they hold back."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from memory_state import MemoryState

from collector.bus.protocol import Batch, Record
from processors.runs.thresholds import LEAST, Thresholds
from processors.threshold_board import STORE, ThresholdBoard
from schemas.people import Threshold, threshold_key
from schemas.topics import DEAD_LETTERS, THRESHOLDS

AT = "2026-11-20T10:00:00Z"


def threshold(confidence: float | None, framework: str = "", version: int = 1, tenant: str = "default") -> Threshold:
    return Threshold(
        tenant=tenant,
        detector="loop",
        framework=framework,
        min_confidence=confidence,
        who="ada",
        version=version,
        at=AT,
    )


def record(said: Threshold, tenant: str = "default") -> Record:
    return Record(THRESHOLDS, 0, 0, threshold_key(said), msgspec.json.encode(said), {"tenant": tenant.encode()}, 1)


def test_a_frameworks_own_threshold_comes_before_that_for_all() -> None:
    held = Thresholds()
    assert held.least("default", "loop", "langgraph") == LEAST
    held.take(threshold(0.8))
    held.take(threshold(0.5, "langgraph"))
    assert [held.least("default", "loop", name) for name in ("langgraph", "crewai", "")] == [0.5, 0.8, 0.8]
    assert held.least("acme", "loop", "langgraph") == LEAST
    held.take(threshold(None, "langgraph", version=2))
    assert held.least("default", "loop", "langgraph") == 0.8


@given(st.permutations([threshold(0.4, version=1), threshold(0.9, version=2), threshold(None, version=3)]))
def test_the_newest_holds_whatever_comes_first(order: list[Threshold]) -> None:
    held = Thresholds()
    for said in order:
        held.take(said)
    assert held.least("default", "loop", "") == LEAST
    assert not held.take(threshold(0.9, version=2))


def test_what_is_remembered_is_bounded() -> None:
    held = Thresholds(most=2)
    assert [held.take(threshold(0.9, name)) for name in ("a", "b", "c", "a")] == [True, True, False, False]
    assert held.take(threshold(0.5, "a", version=2))


def test_a_board_that_starts_again_knows_what_was_committed() -> None:
    state, first, again = MemoryState(), Thresholds(), Thresholds()
    board = ThresholdBoard("thresholds", first)
    board.restore(state)
    handled = board.handle(Batch([record(threshold(0.9))], 1), state)
    assert [(change.store, change.key) for change in handled.changes] == [(STORE, "default/loop/")]
    state.apply(handled.changes)
    ThresholdBoard("thresholds", again).restore(state)
    assert first.least("default", "loop", "x") == again.least("default", "loop", "x") == 0.9


def test_what_cannot_be_read_or_is_another_tenants_goes_to_the_dead_letters() -> None:
    held = Thresholds()
    broken = record(threshold(0.9))._replace(value=b'{"schema": "tracemend.threshold/1", "min_confidence": 7}')
    handled = ThresholdBoard("thresholds", held).handle(
        Batch([broken, record(threshold(0.9), tenant="acme")], 1), MemoryState()
    )
    assert [out.topic for out in handled.outputs] == [DEAD_LETTERS, DEAD_LETTERS]
    assert (len(held), handled.changes) == (0, [])
