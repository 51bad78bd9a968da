"""Who tells whom what: the patterns that are failures, and the exchanges that look like them."""

from __future__ import annotations

import pytest
from small_runs import Scribe, ref, reports

from processors.coordination import CoordinationConfig, CoordinationDetector
from processors.detector import AnyDetector
from processors.meaning.static_embedder import StaticEmbedder
from processors.runs.fold import FoldCodec
from processors.spending.model_catalogue import PricedModels
from schemas.step import AGENT, Step

EMBEDDER = StaticEmbedder()
Note = tuple[str, str, str] | tuple[str, str, str, bool]


def detector() -> AnyDetector:
    return CoordinationDetector(CoordinationConfig(), PricedModels(), EMBEDDER)


def exchange(*notes: Note) -> list[Step]:
    run = Scribe()
    for sender, receiver, text, *answered in notes:
        acknowledged = answered[0] if answered else None
        run.add(AGENT, agent=sender, transfer_to=receiver, output_text=text, acknowledged=acknowledged)
    return run.steps


def patterns(*notes: Note) -> list[str]:
    return [finding.evidence["pattern"] for finding in reports(detector(), exchange(*notes))]


def at_the_end(*notes: Note) -> list[str]:
    subject = detector()
    fold = FoldCodec(subject).begin()
    for number, step in enumerate(exchange(*notes)):
        message = subject.project(step)
        assert message is not None, number
        subject.observe(fold.state, _at(step), message)
    return [finding.evidence["pattern"] for finding in subject.finish(fold.state)]


def _at(step: Step):  # type: ignore[no-untyped-def]
    from processors.detector import At
    from schemas.step import SpanRef

    return At(step.start_ns, step.end_ns, SpanRef(step.trace_id, step.span_id), step.agent)


def test_a_reminder_that_nobody_takes_note_of_either_is_told_at_once() -> None:
    steps = exchange(
        ("buyer", "clerk", "Please confirm the delivery date of the chairs", False),
        ("buyer", "clerk", "The delivery date of the chairs is still missing", False),
    )
    (finding,) = reports(detector(), steps)
    assert (finding.type, finding.tier) == ("coordination", 3)
    assert finding.evidence["pattern"] == "ignored"
    assert (finding.spans[0], finding.spans[-1]) == (ref(steps[0]), ref(steps[1]))
    assert finding.confidence < 0.8


def test_one_ignored_message_is_told_when_the_run_ends() -> None:
    note: Note = ("buyer", "clerk", "Please confirm the delivery date of the chairs", False)
    assert patterns(note) == []
    assert at_the_end(note) == ["ignored"]
    assert at_the_end(note, ("clerk", "buyer", "They arrive on the ninth of May")) == []


def test_two_who_wait_for_each_other_are_in_a_deadlock() -> None:
    waiting: tuple[Note, ...] = (
        ("a", "b", "I am still waiting for your figures"),
        ("b", "a", "Waiting for you to send your approval"),
    )
    assert patterns(*waiting) == ["deadlock"]
    assert patterns(waiting[0], ("b", "a", "Here are the quarterly figures of all four regions")) == []


def test_a_task_that_is_handed_on_until_it_comes_back_goes_in_a_circle() -> None:
    assert "circular_delegation" in patterns(
        ("planner", "coder", "Handing this task over to you, please take it"),
        ("coder", "tester", "I pass this on, delegating it to you"),
        ("tester", "planner", "Delegating this task to you"),
    )


def test_a_pipeline_that_comes_back_with_something_at_each_station_does_not() -> None:
    assert (
        patterns(
            ("planner", "researcher", "Look into coffee prices in Brazil"),
            ("researcher", "analyst", "Collected: harvest volumes, frost reports, exchange rates"),
            ("analyst", "writer", "Trend chart attached, frost explains most of the spike"),
            ("writer", "planner", "Report drafted in two pages, ready for review"),
        )
        == []
    )


def test_a_task_that_everybody_passes_on_is_done_by_nobody() -> None:
    task = "Restart the billing service in the staging cluster"
    chain: list[Note] = [("a", "b", task), ("b", "c", task), ("c", "d", task)]
    assert patterns(*chain) == ["passed_on"]
    assert patterns(*chain[:2]) == []


def test_one_task_given_to_two_is_work_done_twice() -> None:
    task = "Write the migration for the orders table"
    assert patterns(("lead", "ana", task), ("lead", "bo", task)) == ["given_twice"]


@pytest.mark.parametrize(
    "notes",
    [
        [("lead", "ana", "Review files one to ten"), ("lead", "bo", "Review files eleven to twenty")],
        [("lead", "ana", "Are you alive"), ("ana", "lead", "Yes, load is low"), ("lead", "bo", "Are you alive")],
        [
            ("shop", "bus", "Publish the event: an order was placed"),
            ("bus", "mail", "The event: an order was placed"),
            ("bus", "stock", "The event: an order was placed"),
        ],
    ],
)
def test_parts_of_a_task_heartbeats_and_relayed_events_are_not(notes: list[Note]) -> None:
    assert patterns(*notes) == []


def test_two_who_want_the_same_thing_of_a_third_are_in_each_others_way() -> None:
    assert patterns(
        ("ana", "store", "Write the new price list into prices.csv"),
        ("bo", "store", "Write the old price list back into prices.csv"),
    ) == ["contention"]
    assert (
        patterns(
            ("store", "ana", "Send me your price list"),
            ("store", "bo", "And you, what are your prices"),
            ("ana", "store", "Here is the price list of the north"),
            ("bo", "store", "Here is the price list of the south"),
        )
        == []
    )


def test_many_messages_about_one_thing_without_a_word_back_are_told_once() -> None:
    reminder: Note = ("buyer", "clerk", "Please confirm the delivery date of the chairs", True)
    assert patterns(*[reminder] * 5) == []
    assert patterns(*[reminder] * 20) == ["unanswered"]


def test_without_receivers_it_stays_silent() -> None:
    run = Scribe()
    for _ in range(10):
        run.add(AGENT, output_text="Still waiting for you")
    assert reports(detector(), run.steps) == []
