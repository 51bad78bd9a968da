"""Grey findings that are looked at again: what becomes of them, and what stands over what is told later."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from escalated_runs import id_of, steps_record, trace
from looked_runs import AGAIN, derailed_run, grey_run, repetition_of, saying_steps, told
from looking_glass import LookingGlass, Open, TableEncoder
from memory_state import MemoryState
from msgspec.msgpack import encode

from collector.bus.protocol import Batch, Outgoing, Record
from processors.judging.rulings import Ruling, detection_record, under
from processors.looking.encodings import Encodings
from processors.looking.model_process import ModelAwayError
from processors.second_look import LONGEST_NS, MOST_LOOKS, SecondLookStage
from schemas.detection import CLOSED, OPEN, WITHDRAWN
from schemas.keys import join_key
from schemas.topics import ESCALATIONS

RUN = trace(1)
UNLIKE = ("Balloons and cake for the garden party.", "The compiler reports a syntax error.", "Rain is likely in Oslo.")
HALF_ALIKE = ("Search for a flight to Lisbon on Monday.", "Look up trains that go to Lisbon on Monday morning.")
"""Texts whose likeness by the table lies in the middle of the scale."""


def test_texts_that_are_alike_confirm_a_finding_under_the_same_id(glass: LookingGlass) -> None:
    glass.publish(grey_run(RUN))
    glass.settle()
    first, second = glass.versions()
    assert (first["id"], first["confidence"]) == (second["id"], 0.5)
    assert second["version"] > first["version"]
    assert (second["tier"], second["status"], second["confidence"]) == (3, OPEN, 0.78)
    assert second["evidence"]["second_look"] == {
        "found": "confirmed",
        "model": "a-model",
        "similarity": pytest.approx(0.88, abs=0.02),
        "agreement": 1.0,
        "pairs": 3,
        "found_confidence": 0.5,
    }
    assert second["evidence"]["repetitions"] == first["evidence"]["repetitions"]
    assert second["explanation"].startswith(first["explanation"])
    assert glass.for_the_judge() == []


def test_texts_that_are_not_alike_clear_it(glass: LookingGlass) -> None:
    glass.publish(grey_run(RUN, UNLIKE))
    glass.settle()
    assert (glass.latest()["status"], glass.latest()["evidence"]["second_look"]["found"]) == (WITHDRAWN, "cleared")
    assert glass.latest()["confidence"] == pytest.approx(0.2)
    assert glass.for_the_judge() == []


def test_what_stays_grey_goes_on_to_the_judge_as_it_now_stands(glass: LookingGlass) -> None:
    glass.publish(grey_run(RUN, HALF_ALIKE))
    glass.settle()
    (handed_on,) = glass.for_the_judge()
    assert handed_on == glass.latest()
    assert handed_on["evidence"]["second_look"]["found"] == "unsure"
    assert 0.35 <= handed_on["confidence"] < 0.65


def test_a_run_that_speaks_of_its_task_is_not_derailed_and_one_that_does_not_stays_open(glass: LookingGlass) -> None:
    task = "Fix the failing login test in the billing service"
    glass.publish(derailed_run(trace(1), task, "First a list of files.", "The failing login test of billing is fixed."))
    glass.publish(derailed_run(trace(2), task, *UNLIKE))
    glass.settle()
    found = {one["run_id"]: one["status"] for one in glass.versions(own=True)}
    assert found == {trace(1): WITHDRAWN, trace(2): OPEN}
    assert [one["run_id"] for one in glass.for_the_judge()] == [trace(2)]


def test_a_text_is_embedded_once(glass: LookingGlass, table: TableEncoder) -> None:
    glass.publish(grey_run(trace(1)))
    glass.settle()
    glass.publish(grey_run(trace(2), [*AGAIN, "One more that is new."]))
    glass.settle()
    assert sorted(text for batch in table.asked for text in batch) == sorted([*AGAIN, "One more that is new."])


def test_steps_that_come_after_the_finding_are_waited_for(glass: LookingGlass) -> None:
    steps, *finding = grey_run(RUN)
    glass.publish(finding)
    for _ in range(3):
        glass.stage.step()
    assert glass.open_looks() == 1
    glass.publish([steps])
    glass.settle()
    assert glass.latest()["confidence"] == 0.78


# --- what is told later ---


def test_what_a_detector_tells_again_is_told_under_the_verdict(glass: LookingGlass) -> None:
    glass.publish(grey_run(RUN, UNLIKE))
    glass.settle()
    glass.publish(told(RUN, repetition_of(RUN, 3, confidence=0.55, status=CLOSED), escalates=False))
    glass.settle()
    assert glass.latest()["status"] == WITHDRAWN
    assert glass.latest()["confidence"] == pytest.approx(0.25)


def test_a_detector_that_has_become_sure_has_the_last_word(glass: LookingGlass) -> None:
    glass.publish(grey_run(RUN, UNLIKE))
    glass.settle()
    glass.publish(told(RUN, repetition_of(RUN, 3, confidence=0.75), escalates=False))
    glass.settle()
    assert (glass.latest()["status"], glass.latest()["confidence"]) == (OPEN, 0.75)
    assert "second_look" not in glass.latest()["evidence"]


def test_what_a_detector_takes_back_stays_back(glass: LookingGlass) -> None:
    glass.publish(grey_run(RUN))
    glass.settle()
    glass.publish(told(RUN, repetition_of(RUN, 4, confidence=0.0, status=WITHDRAWN), escalates=False))
    glass.settle()
    assert glass.latest()["status"] == WITHDRAWN
    assert glass.stage.consumer.state.count("verdicts") == 0


def test_a_finding_that_grew_is_looked_at_again(glass: LookingGlass, table: TableEncoder) -> None:
    glass.publish(grey_run(RUN, AGAIN[:3]))
    glass.settle()
    glass.publish([steps_record(saying_steps(RUN, AGAIN)), *told(RUN, repetition_of(RUN, 4, confidence=0.6))])
    glass.settle()
    assert table.asked[-1] == [AGAIN[3]]
    assert glass.latest()["evidence"]["second_look"]["pairs"] == 3


def test_what_the_judge_has_ruled_on_is_left_to_the_judge(glass: LookingGlass) -> None:
    glass.publish(grey_run(RUN, HALF_ALIKE))
    glass.settle()
    ruling = Ruling("cleared", 0.1, "", "model", "It is work.", (), 0, "", 1)
    judged = under(ruling, glass.latest(), glass.latest()["version"] + 1, 0)
    glass.publish([detection_record(judged)])
    glass.settle()
    before = len(glass.versions(own=True))
    again = told(RUN, repetition_of(RUN, 4, confidence=0.6))
    glass.publish(again)
    glass.settle()
    assert len(glass.versions(own=True)) == before
    assert glass.for_the_judge()[-1]["confidence"] == 0.6


# --- what is handed on ---


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "loop", "evidence": {"match": "names"}},
        {"type": "coordination", "evidence": {"pattern": "deadlock"}},
        {"type": "persona_drift"},
    ],
)
def test_what_the_model_cannot_help_with_goes_on_at_once(glass: LookingGlass, fields: dict[str, Any]) -> None:
    glass.publish(told(RUN, repetition_of(RUN, 2, **fields)))
    glass.stage.step()
    assert [one["confidence"] for one in glass.for_the_judge()] == [0.5]
    assert len(glass.versions()) == 1


def test_texts_that_are_all_equal_need_no_second_look(glass: LookingGlass, table: TableEncoder) -> None:
    glass.publish(grey_run(RUN, ["The same words.", "The same words."]))
    glass.settle()
    assert (len(glass.for_the_judge()), table.asked) == (1, [])


def test_without_a_model_everything_goes_on_as_it_is_and_no_step_is_kept(opened: Open) -> None:
    glass = opened(None)
    glass.publish(grey_run(RUN))
    glass.stage.step()
    (handed_on,) = glass.for_the_judge()
    assert handed_on["confidence"] == 0.5
    assert len(glass.versions()) == 1
    assert glass.stage.consumer.state.count("bookmarks") == 0


class AwayEncoder(TableEncoder):
    """A model whose process ends each time it is asked, until it is `back`."""

    back = False

    def vectors(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        if not self.back:
            raise ModelAwayError("EOFError", "the stream has ended")
        return super().vectors(texts)


def test_a_model_that_is_away_holds_nothing_up(opened: Open) -> None:
    glass = opened(AwayEncoder())
    for number in range(5):
        glass.publish(grey_run(trace(number)))
        glass.settle()
    assert len(glass.for_the_judge()) == 5
    assert len(glass.versions(own=True)) == 0
    assert "the stream has ended" in glass.stage.stage.note  # type: ignore[attr-defined]  # which health shows


class HeldEncoder(TableEncoder):
    """A model that is at a question for as long as the test wants."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()

    def vectors(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        assert self.free.wait(60)
        return super().vectors(texts)


def test_a_model_that_takes_too_long_is_not_waited_for_and_its_answer_comes_too_late() -> None:
    encoder, state = HeldEncoder(), MemoryState()
    stage = SecondLookStage(Encodings(encoder), "a-model", lambda: 0, 1 << 20, lambda _: ())
    stage.restore(state)
    records = [Record(one.topic, 0, 0, one.key, one.value, one.headers, 0) for one in grey_run(RUN)]
    assert outputs_of(stage, state, Batch(records, 0)) == []
    assert outputs_of(stage, state, Batch([], LONGEST_NS)) == []
    (handed_on,) = outputs_of(stage, state, Batch([], LONGEST_NS + 1))
    assert (handed_on.topic, handed_on.headers["next_tier"]) == (ESCALATIONS, b"judge")
    encoder.free.set()
    while stage._answers.empty():
        time.sleep(0.01)
    assert outputs_of(stage, state, Batch([], LONGEST_NS + 2)) == []
    assert (state.count("looks"), stage.busy) == (0, False)


def outputs_of(stage: SecondLookStage, state: MemoryState, batch: Batch) -> Sequence[Outgoing]:
    """Handle a batch and commit it."""
    handled = stage.handle(batch, state)
    state.apply(handled.changes)
    return handled.outputs


def test_no_more_looks_are_open_than_are_bounded(glass: LookingGlass) -> None:
    runs = range(MOST_LOOKS + 7)
    glass.publish([record for number in runs for record in told(trace(number), repetition_of(trace(number), 2))])
    glass.until(lambda: not any(glass.stage.consumer.lag().values()))
    assert glass.open_looks() == MOST_LOOKS
    assert len(glass.for_the_judge()) == 7


@pytest.mark.parametrize("value", [b"", b"\xc1", encode([2, {}]), encode([1, {"id": 3}])])
def test_a_record_that_cannot_be_read_is_put_aside(glass: LookingGlass, value: bytes) -> None:
    header = {"tenant": b"acme", "next_tier": b"embedding"}
    glass.publish([Outgoing(ESCALATIONS, join_key("acme", RUN), value, header), *grey_run(RUN)])
    glass.settle()
    assert len(glass.dead_letters()) == 1
    assert glass.latest()["confidence"] == 0.78


@pytest.mark.parametrize("evidence", [{"match": ["wording"]}, {"match": None}, {"pattern": {"a": 1}}, {}])
@pytest.mark.parametrize("kind", ["loop", "coordination", "repetition", "derailment", "nothing_known"])
def test_any_evidence_is_handled(glass: LookingGlass, kind: str, evidence: dict[str, object]) -> None:
    finding = repetition_of(RUN, 3, type=kind, evidence=evidence, fingerprint=str(evidence))
    glass.publish([steps_record(saying_steps(RUN, UNLIKE)), *told(RUN, finding)])
    glass.settle()
    assert glass.dead_letters() == []
    assert glass.latest(id_of(RUN, finding)) is not None
