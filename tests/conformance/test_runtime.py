"""The runtime itself, on a detector small enough to know the right answers by heart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime_harness import SECOND, START_NS, Drive

from processors.detector import At, Detector, DetectorConfig, ModelCatalogue
from schemas.detection import CLOSED, OPEN, Finding
from schemas.step import TOOL, SpanRef, Step, Usage


class NoModels:
    """A catalogue that knows nothing."""

    def cost_usd(self, model: str, provider: str, usage: Usage, at_ns: int) -> float | None:
        return None

    def context_window(self, model: str, provider: str) -> int | None:
        return None


class Word(msgspec.Struct, frozen=True, array_like=True):
    text: str


class Streak(msgspec.Struct, array_like=True):
    text: str = ""
    count: int = 0
    first: SpanRef = SpanRef("", "")
    third: SpanRef = SpanRef("", "")


class ThreeInARow(Detector[DetectorConfig, Word, Streak]):
    """Finds three equal outputs in a row."""

    name: ClassVar[str] = "three"
    Config: ClassVar = DetectorConfig
    Item: ClassVar = Word
    State: ClassVar = Streak

    def project(self, step: Step) -> Word | None:
        return Word(step.output_text) if step.output_text else None

    def begin(self) -> Streak:
        return Streak()

    def observe(self, state: Streak, at: At, item: Word) -> Sequence[Finding]:
        if item.text == "raise":
            raise ValueError("as asked")
        found = []
        if item.text != state.text:
            if state.count >= 3:
                found.append(self._finding(state, at, CLOSED))
            state.text, state.count, state.first = item.text, 0, at.span
        state.count += 1
        if state.count == 3:
            state.third = at.span
        if state.count >= 3:
            found.append(self._finding(state, at, OPEN))
        return found

    def _finding(self, state: Streak, at: At, status: str) -> Finding:
        return Finding(
            type="loop",
            fingerprint=state.text,
            first=state.first,
            spans=(state.first, state.third),
            status=status,
            tier=1,
            confidence=0.9,
            severity="high",
            score=70,
            title="{agent} said it again",
            explanation="{agent} did",
            evidence={"count": state.count},
            event_time_ns=0,
            stage=state.count.bit_length(),
            agent=at.agent,
        )


models: ModelCatalogue = NoModels()


def drive(**settings: float) -> Drive:
    return Drive([ThreeInARow(DetectorConfig(), models)], **settings)


def step(number: int, text: str, agent: str = "", revision: int = 0, retracted: bool = False) -> Step:
    start = START_NS + number * SECOND
    return Step(
        tenant="default",
        run_id="a" * 32,
        trace_id="a" * 32,
        span_id=f"{number:016x}",
        kind=TOOL,
        start_ns=start,
        end_ns=start + SECOND // 2,
        agent=agent,
        output_text=text,
        revision=revision,
        retracted=retracted,
    )


def test_the_alert_goes_out_with_the_third_and_names_first_and_third() -> None:
    run = drive()
    run.send(step(0, "a"))
    run.send(step(1, "a"))
    assert run.outputs == []
    run.send(step(2, "a"))
    (alert,) = run.outputs
    assert alert["span_ids"] == [f"{0:016x}", f"{2:016x}"]
    assert alert["status"] == "open"
    assert alert["title"] == "The agent said it again"


def test_an_open_episode_is_told_again_by_stage_not_by_step_and_closed_with_its_last_figures() -> None:
    run = drive()
    run.send(*(step(number, "a") for number in range(3)))
    for number in range(3, 20):
        run.send(step(number, "a"))
    run.send(step(20, "b"))
    assert [document["evidence"]["count"] for document in run.outputs] == [3, 4, 8, 16, 20]
    assert [document["status"] for document in run.outputs][-2:] == ["open", "closed"]
    assert len({document["id"] for document in run.outputs}) == 1
    assert [d["version"] for d in run.outputs] == sorted({d["version"] for d in run.outputs})


def test_a_late_step_that_breaks_the_streak_withdraws_the_detection() -> None:
    run = drive()
    run.send(*(step(number, "a") for number in (0, 1, 3)))
    assert run.outputs[-1]["status"] == "open"
    run.send(step(2, "b"))
    assert run.outputs[-1]["status"] == "withdrawn"
    assert run.outputs[-1]["version"] > run.outputs[0]["version"]
    assert run.final() == {}


def test_a_late_step_that_moves_the_beginning_replaces_the_detection() -> None:
    run = drive()
    run.send(*(step(number, "a") for number in (1, 2, 3)))
    run.send(step(0, "a"))
    by_status = {document["status"]: document for document in run.outputs[1:]}
    assert by_status["open"]["replaces"] == by_status["withdrawn"]["id"] == run.outputs[0]["id"]


def test_a_retracted_step_never_happened() -> None:
    run = drive()
    run.send(*(step(number, "a") for number in range(3)))
    run.send(step(1, "a", revision=1, retracted=True))
    assert run.final() == {}


def test_a_name_that_comes_late_is_told_under_the_same_id() -> None:
    run = drive()
    run.send(*(step(number, "a") for number in range(3)))
    run.send(step(2, "a", agent="writer", revision=1))
    assert [document["agent"] for document in run.outputs] == [None, "writer"]
    assert run.outputs[1]["title"] == "writer said it again"
    assert len({document["id"] for document in run.outputs}) == 1


def test_a_name_still_reaches_an_episode_whose_steps_have_left_the_window() -> None:
    run = drive(lateness_steps=10)
    run.send(*(step(number, "a") for number in range(3)))
    for number in range(3, 200):
        run.send(step(number, f"other {number}"))
    run.send(step(2, "a", agent="writer", revision=1))
    assert run.outputs[-1]["agent"] == "writer"


def test_a_run_that_went_quiet_ends_its_episodes_and_leaves_no_state() -> None:
    run = drive(run_abandon_seconds=100)
    run.send(*(step(number, "a") for number in range(3)))
    run.wait(99)
    assert run.outputs[-1]["status"] == "open"
    run.wait(2)
    assert run.outputs[-1]["status"] == "closed"
    assert run.state.rows == {}


def test_a_step_too_far_behind_changes_nothing() -> None:
    run = drive(lateness_seconds=5)
    run.send(*(step(number, "a") for number in (0, 1, 3)))
    run.send(step(2, "b"), after_seconds=6)
    assert run.outputs[-1]["status"] == "open"


def test_a_detector_that_raises_is_dead_lettered_and_takes_nobody_down() -> None:
    run = drive()
    run.send(step(0, "raise"))
    run.send(step(1, "a"))
    assert [out.topic for out in run.other] == ["dead_letters"]
    assert b"as asked" in run.other[0].headers["error-text"]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from("aaab"), max_size=40), st.randoms(use_true_random=False))
def test_any_order_any_batches_and_any_cuts_give_the_same_detections(texts: list[str], random: object) -> None:
    steps = [step(number, text) for number, text in enumerate(texts)]
    straight = drive()
    for one in steps:
        straight.send(one)
    shuffled = drive()
    random.shuffle(steps)  # type: ignore[attr-defined]
    while steps:
        count = random.randint(1, 6)  # type: ignore[attr-defined]
        shuffled.send(*steps[:count])
        steps = steps[count:]
        if random.random() < 0.3:  # type: ignore[attr-defined]
            shuffled.restart()
    for run in (straight, shuffled):
        run.wait(4000)
    assert shuffled.final() == straight.final()
