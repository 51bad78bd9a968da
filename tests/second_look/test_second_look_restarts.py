"""Killed anywhere, a second look tells the same: each finding once, and no look is forgotten."""

from __future__ import annotations

from random import Random

import pytest
from escalated_runs import trace
from looked_runs import AGAIN, OF_ONE_KIND, grey_run, repetition_of, told
from looking_glass import LookingGlass, Open, TableEncoder

RUNS = 6
TEXTS = (AGAIN, ("Balloons and cake.", "A syntax error."), ("Search for a flight to Lisbon.", "Trains to Lisbon."))


def records(number: int) -> list[object]:
    texts = TEXTS[number % len(TEXTS)]
    return [*grey_run(trace(number), texts), *told(trace(number), repetition_of(trace(number), len(texts), 0.6))]


def outcome(glass: LookingGlass) -> list[tuple[object, ...]]:
    """Give what a reader of the topic is left with."""
    latest = {one["id"]: one for one in glass.versions()}
    handed_on = {one["id"] for one in glass.for_the_judge()}
    return sorted((key, one["status"], one["confidence"], one["tier"], key in handed_on) for key, one in latest.items())


def through(glass: LookingGlass, random: Random | None) -> LookingGlass:
    """Handle all runs; with `random` the stage is killed with a batch handled and not committed, now and then."""
    for number in range(RUNS):
        glass.publish(records(number))  # type: ignore[arg-type]  # outgoing records
        for _ in range(4):
            commit = glass.stage.handle()
            if random is None or random.random() < 0.6:
                commit()
            else:
                glass.stage.consumer.close()
                glass.stage.restart()
    glass.settle()
    return glass


@pytest.mark.parametrize("seed", range(8))
def test_killed_anywhere_it_tells_the_same(opened: Open, seed: int) -> None:
    undisturbed = through(opened(TableEncoder()), None)
    killed = through(opened(TableEncoder()), Random(seed))  # noqa: S311  # no secret
    assert outcome(killed) == outcome(undisturbed)
    ids = [(one["id"], one["version"]) for one in killed.versions()]
    assert len(ids) == len(set(ids))


def test_steps_are_read_again_after_a_restart(glass: LookingGlass) -> None:
    steps, *finding = grey_run(trace(1))
    glass.publish([steps])
    glass.stage.step()
    glass.stage.consumer.close()
    glass.stage.restart()
    glass.publish(finding)
    glass.settle()
    assert glass.latest()["confidence"] == 0.78


def test_a_look_that_was_open_when_the_model_went_is_handed_on(opened: Open, glass: LookingGlass) -> None:
    _, *finding = grey_run(trace(1), OF_ONE_KIND)
    glass.publish(finding)  # its steps never come
    glass.stage.step()
    assert glass.open_looks() == 1
    glass._encoder = None
    glass.stage.consumer.close()
    glass.stage.restart()
    glass.settle()
    assert len(glass.for_the_judge()) == 1
