"""What a run's summary says depends on what happened in it: not on order, batches, crashes or repeats."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from generated_runs import runs
from hypothesis import given, settings
from hypothesis import strategies as st
from tracked_runs import RUN, Tracking, a_detection, a_root, a_step

from processors.diagnosing.case import MOST_MARKED, WITH_TEXT, Case, new_case
from processors.diagnosing.notes import note_of
from schemas.run_summary import RunSummary
from schemas.step import LLM, Step, Usage


def summary_of(tracking: Tracking) -> RunSummary | None:
    """Give the last version of the one summary there is, without when it was told."""
    tracking.wait(4_000)
    tracking.wait(10)
    if not tracking.told:
        return None
    assert {one.run_id for one in tracking.told} == {RUN}
    versions = [one.version for one in tracking.told]
    assert versions == sorted(set(versions))
    return msgspec.structs.replace(tracking.told[-1], version=0)


def found_in(steps: list[Step]) -> list[dict[str, Any]]:
    """Make a detection about every fifth step, each in two versions, the last of them of one that was withdrawn."""
    places = [int(step.span_id, 16) for step in steps[::5]]
    told = [a_detection(kind, place) for kind, place in zip(("loop", "cost") * 20, places, strict=False)]
    again = [{**one, "version": 2, "confidence": 0.7} for one in told]
    return [*told, *again[:-1], *({**one, "status": "withdrawn"} for one in again[-1:])]


@settings(max_examples=120, deadline=None)
@given(runs(), st.randoms(use_true_random=False))
def test_any_order_any_batches_and_any_cuts_give_the_same_summary(steps: list[Step], random: Any) -> None:
    sent: list[Any] = [*steps, *found_in(steps)]
    straight = Tracking()
    for one in sent:
        straight.send(one)
    shuffled = Tracking()
    random.shuffle(sent)
    while sent:
        count = random.randint(1, 6)
        shuffled.send(*sent[:count])
        sent = sent[count:]
        if random.random() < 0.3:
            shuffled.restart()
    assert summary_of(shuffled) == summary_of(straight)


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 40))
def test_a_run_longer_than_what_is_kept_of_it_is_the_same_whatever_came_late(random: Any, lateness: int) -> None:
    notes = [note_of(_spoken(number), _Free()) for number in range(400)]
    whole, folded = new_case(), new_case()
    whole.take(notes, lateness + 200)
    late = sorted(notes, key=lambda note: note.start_ns + random.randint(0, lateness) * 1_000_000_000)
    while late:
        count = random.randint(1, 90)
        folded.take(late[:count], lateness + 200)
        folded = _stored(folded)
        late = late[count:]
    assert folded.late == 0
    assert folded.all_totals() == whole.all_totals()
    assert folded.steps() == _stored(whole).steps()
    assert len(whole.steps()) <= lateness + 200 + WITH_TEXT + MOST_MARKED


def test_what_is_committed_of_a_run_does_not_grow_with_its_length() -> None:
    sizes = []
    for length in (4_400, 8_800):  # a run's log is folded with each eleventh of these batches
        tracking = Tracking(lateness_steps=100)
        for number in range(0, length, 50):
            tracking.send(*(_spoken(number + more) for more in range(50)))
        sizes.append(sum(len(value) for value, _ in tracking.state.rows.values()))
    assert sizes[1] < sizes[0] * 1.05


@pytest.mark.parametrize("cut", [True, False])
def test_nothing_is_left_of_a_run_that_is_forgotten(cut: bool) -> None:
    tracking = Tracking()
    tracking.send(a_root(10, output_text="done"), _spoken(1), a_detection("loop", 1))
    tracking.wait(400)
    if cut:
        tracking.restart()
    assert len(tracking.told) == 1
    tracking.wait(90_000)
    assert tracking.state.rows == {}


class _Free:
    def cost_usd(self, model: str, provider: str, usage: Usage, at_ns: int) -> float | None:
        return 0.25

    def context_window(self, model: str, provider: str) -> int | None:
        return None


def _spoken(number: int) -> Step:
    said = f"what is said in step {number}, at some length, with figures such as {number * 7}"
    failed = "boom" if number % 40 == 3 else ""
    return a_step(number, LLM, output_text=said, usage=Usage(10, 5), error=failed)


def _stored(case: Case) -> Case:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(case), type=Case)
