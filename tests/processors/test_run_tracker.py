"""The run tracker: when a run is summed up, what its summary says, and when it says so again."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tracked_runs import RUN, Tracking, a_detection, a_root, a_step

from processors.run_tracker import SETTLE_NS
from processors.runs.thresholds import Thresholds
from schemas.people import Threshold
from schemas.run_summary import COMPLETED, FAILED, GAVE_UP, OPEN_ENDED, UNANSWERED, UnknownSummarySchema, decode_summary
from schemas.step import LLM, TOOL, Step, ToolCall, Usage
from schemas.topics import AGENT_STEPS, DETECTIONS

SETTLE = SETTLE_NS / 1e9


def said(number: int, text: str, **what: Any) -> Step:
    return a_step(number, LLM, output_text=text, **what)


def called(number: int, tool: str, result: str = "", **what: Any) -> Step:
    return a_step(number, TOOL, tool=tool, result=result, **what)


def test_a_run_whose_root_has_ended_is_summed_up_once_it_has_been_quiet() -> None:
    run = Tracking(run_idle_seconds=100)
    run.send(said(1, "I look for flights.", usage=Usage(100, 20), model="gpt-4o"))
    run.send(called(2, "search", "three flights", args="LHR"), a_root(4, output_text="Three flights."))
    run.wait(99)
    assert run.told == []
    run.wait(2 + SETTLE)
    (told,) = run.told
    assert (told.outcome, told.agent, told.service, told.trace_id) == (COMPLETED, "lead", "trips", RUN)
    assert (told.figures.steps, told.figures.llm_calls, told.figures.tools) == (3, 1, {"search": 1})
    assert (told.figures.input_tokens, told.figures.output_tokens) == (100, 20)
    assert told.figures.cost_usd == pytest.approx(120e-6)
    assert told.ended_ns - told.started_ns == 4_000_000_000
    assert not told.diagnosis.blames


def test_a_run_without_a_root_is_waited_for_longer() -> None:
    run = Tracking(run_idle_seconds=100, run_abandon_seconds=1_000)
    run.send(said(1, "I look for flights."))
    run.wait(200)
    assert run.told == []
    run.wait(900)
    assert [told.outcome for told in run.told] == [OPEN_ENDED]


@pytest.mark.parametrize(
    ("last", "root", "outcome"),
    [
        (said(3, "Here they are, all of them."), {"output_text": "Here they are."}, COMPLETED),
        (said(3, "Here they are, all of them."), {"error": "RuntimeError: no quota"}, FAILED),
        (said(3, "I could not find any of them."), {}, GAVE_UP),
        (said(3, "A booking cannot be changed here."), {}, COMPLETED),
        (called(3, "search", "three flights"), {}, UNANSWERED),
        (
            said(3, "Here they are, all of them."),
            {"error_type": "GraphInterrupt", "error": "GraphInterrupt: x"},
            COMPLETED,
        ),
    ],
)
def test_how_a_run_ends_is_read_from_its_root_and_its_last_step(last: Step, root: dict[str, Any], outcome: str) -> None:
    run = Tracking()
    run.send(said(1, "I look for flights now."), last, a_root(4, **root))
    run.wait(400)
    assert [told.outcome for told in run.told] == [outcome]


def test_a_step_that_is_revised_or_taken_back_counts_as_it_stands() -> None:
    run = Tracking()
    run.send(a_root(9, output_text="done"), said(1, "a first word", usage=Usage(10, 0)), called(2, "search"))
    run.send(said(1, "a first word", usage=Usage(70, 0), revision=1), called(2, "search", revision=1, retracted=True))
    run.wait(400)
    (told,) = run.told
    assert (told.figures.steps, told.figures.input_tokens, told.figures.tools) == (2, 70, {})


def test_more_roots_than_stand_apart_are_counted_all_the_same() -> None:
    run = Tracking()
    roots = [a_step(number, "agent", is_root=True) for number in range(1, 21)]
    run.send(*reversed(roots), said(1, "a first word", span_id="a" * 16))
    run.wait(400)
    assert run.told[0].figures.steps == 21


def test_detections_are_told_in_causal_order_and_the_first_of_the_chain_is_blamed() -> None:
    run = Tracking()
    run.send(a_root(9, output_text="done"), *(called(number, "search", "same") for number in range(2, 7)))
    run.send(a_detection("cost", 2, 6, severity="high"))
    run.send(
        a_detection("loop", 2, 4, severity="medium"), a_detection("tool_error", 2, severity="medium", confidence=0.8)
    )
    run.wait(400)
    diagnosis = run.told[-1].diagnosis
    assert [(found.type, found.because) for found in diagnosis.found][-1] == ("cost", "loop-2")
    assert diagnosis.primary == "loop-2"
    assert diagnosis.suspects[0].span.span_id == f"{2:016x}"
    assert "loop at 2" in diagnosis.text


@pytest.mark.parametrize("kind", ["derailment", "communication"])
def test_of_an_answer_that_is_not_what_was_asked_the_answer_is_blamed(kind: str) -> None:
    run = Tracking()
    run.send(a_root(9, output_text="done"), *(said(number, "words") for number in range(2, 7)))
    run.send(a_detection(kind, 2, 5))
    run.wait(400)
    assert run.told[-1].diagnosis.suspects[0].span.span_id == f"{5:016x}"


def test_what_ran_beside_each_other_explains_nothing_of_each_other() -> None:
    run = Tracking()
    under = {"parent_span_id": "f" * 16, "end_ns": a_root(9).end_ns}
    branches = [a_step(1, "agent", agent=name, span_id=name * 16, **under) for name in "ab"]
    inner = [called(2, "search", parent_span_id="a" * 16), called(3, "fetch", parent_span_id="b" * 16)]
    root = a_root(9, span_id="f" * 16, output_text="done")
    run.send(root, *branches, *inner)
    run.send(a_detection("tool_error", 2), a_detection("corruption", 3))
    run.wait(400)
    assert [found.because for found in run.told[-1].diagnosis.found] == ["", ""]


def test_a_detection_after_the_end_gives_a_new_version_and_not_a_second_run() -> None:
    run = Tracking()
    run.send(a_root(9, output_text="done"), called(2, "search", "same"), a_detection("loop", 2))
    run.wait(400)
    run.send(a_detection("loop", 2, version=2, status="withdrawn", confidence=0.1))
    run.wait(SETTLE + 1)
    first, second = run.told
    assert (first.diagnosis.blames, second.diagnosis.blames) == (True, False)
    assert second.version > first.version
    assert first.run_id == second.run_id


def test_what_says_nothing_new_is_not_told_again() -> None:
    run = Tracking()
    found = a_detection("loop", 2)
    run.send(a_root(9, output_text="done"), called(2, "search", "same"), found)
    run.wait(400)
    run.send(found, {**found, "version": 2})
    run.wait(SETTLE + 1)
    assert len(run.told) == 1


def test_a_run_that_goes_on_after_its_end_is_the_same_run() -> None:
    run = Tracking()
    run.send(a_root(9, output_text="done"), said(1, "a first word"))
    run.wait(400)
    run.restart()
    run.send(said(500, "a word that comes much later"))
    run.wait(400)
    first, second = run.told
    assert (first.figures.llm_calls, second.figures.llm_calls) == (1, 2)
    assert second.version > first.version


def test_detections_of_a_run_that_nobody_knows_are_let_go() -> None:
    run = Tracking()
    run.send(a_detection("loop", 2))
    run.wait(400)
    assert (run.told, run.state.rows) == ([], {})


def test_runs_beyond_the_cap_are_told_early() -> None:
    run = Tracking(max_runs=2, most_ended=1)
    for number in range(4):
        other = f"{number:032x}"
        run.send(said(1, "a first word", run_id=other, trace_id=other))
    assert [told.run_id for told in run.told] == [f"{number:032x}" for number in range(2)]
    run.wait(1)
    assert run.state.count("ended") == 1


def test_records_that_are_none_are_put_aside() -> None:
    run = Tracking()
    run.send_bytes(AGENT_STEPS, b"\xc1")
    run.send_bytes(DETECTIONS, b"{}")
    assert [out.topic for out in run.other] == ["dead_letters"]


def test_a_summary_of_another_version_is_refused() -> None:
    run = Tracking()
    run.send(said(1, "a first word"), a_root(2))
    run.wait(400)
    with pytest.raises(UnknownSummarySchema):
        decode_summary(msgspec.msgpack.encode(msgspec.structs.replace(run.told[0], v=9)))


def test_a_call_that_failed_for_its_arguments_is_the_callers_fault() -> None:
    run = Tracking()
    asking = said(1, "I call it with this.", calls=(ToolCall("c1", "search"),), agent="writer")
    run.send(
        asking, called(2, "search", error="400 missing required parameter", tool_call_id="c1"), a_root(3, error="x")
    )
    run.wait(400)
    (suspect, *_) = run.told[-1].diagnosis.suspects
    assert (suspect.agent, suspect.kind) == ("writer", LLM)
    assert suspect.why[0] == "its call of search failed: 400 missing required parameter"


def test_a_tool_that_is_down_is_at_fault_itself() -> None:
    run = Tracking()
    asking = said(1, "I call it with this.", calls=(ToolCall("c1", "search"),))
    run.send(asking, called(2, "search", error="503 service unavailable", tool_call_id="c1"), a_root(3, error="x"))
    run.wait(400)
    assert run.told[-1].diagnosis.suspects[0].name == "search"


def test_figures_from_nowhere_on_which_the_answer_rests_are_where_to_look_first() -> None:
    run = Tracking()
    request = "What is the difference of the two populations?"
    run.send(
        a_root(9, input_text=request, output_text="It is 732050 people."),
        said(1, "I look both of them up in the census.", agent="planner", input_text=request),
        called(2, "search", "no results"),
        said(3, "Seattle has 737015 and Colville 4965 people.", agent="clerk"),
        called(4, "calculate", "732050"),
        said(5, "The difference between them is 732050 people.", agent="planner"),
    )
    run.wait(400)
    diagnosis = run.told[-1].diagnosis
    assert not diagnosis.blames
    assert diagnosis.suspects[0].agent == "clerk"
    assert diagnosis.text.startswith("The run ended with an answer. Nothing went wrong that shows. Should its result")


def test_texts_that_come_from_spans_stay_on_one_line_and_drive_no_terminal() -> None:
    run = Tracking()
    run.send(said(1, "x" * 30, agent="\x1b[31mred\n"), a_root(2, error="line\none\x1b[0m"))
    run.wait(400)
    assert run.told[-1].diagnosis.text.isprintable()


def test_a_run_that_failed_is_a_detection_too_of_the_step_that_is_blamed() -> None:
    run = Tracking()
    run.send(called(2, "search", error="503 service unavailable"), a_root(3, error="no search"))
    run.wait(400)
    (found,) = run.found
    blamed = run.told[0].diagnosis.suspects[0]
    assert (found["type"], found["status"], found["processor"]) == ("completion", "closed", "run_tracker")
    assert (found["agent"], found["span_ids"]) == (blamed.agent, [blamed.span.span_id])
    assert (found["title"], found["explanation"]) == ("the run failed: no search", run.told[0].diagnosis.text)


@pytest.mark.parametrize(
    ("last", "told"), [(said(2, "Here they are."), []), (called(2, "search", "x"), ["completion"])]
)
def test_only_a_run_that_fell_short_is_a_detection(last: Step, told: list[str]) -> None:
    run = Tracking()
    run.send(said(1, "I look for flights now."), last, a_root(4))
    run.wait(400)
    assert [found["type"] for found in run.found] == told


def test_a_late_answer_withdraws_it_and_a_late_failure_tells_it_again_under_its_id() -> None:
    run = Tracking()
    run.send(said(1, "I look for flights now."), called(2, "search", "three flights"), a_root(4))
    run.wait(400)
    run.restart()
    run.send(said(3, "There are three flights today."))
    run.wait(400)
    run.send(a_root(4, revision=1, error="RuntimeError: no quota"))
    run.wait(400)
    assert [found["status"] for found in run.found] == ["closed", "withdrawn", "closed"]
    assert len({found["id"] for found in run.found}) == 1
    versions = [found["version"] for found in run.found]
    assert versions == sorted(set(versions))


def test_what_it_told_itself_is_no_cause_of_a_failure_and_changes_nothing() -> None:
    run = Tracking()
    run.send(called(2, "search", error="503 service unavailable"), a_root(3, error="no search"))
    run.wait(400)
    run.send(*run.found)
    run.wait(SETTLE + 1)
    assert (len(run.told), len(run.found)) == (1, 1)


def test_a_threshold_that_people_set_holds_for_it() -> None:
    thresholds = Thresholds()
    said = Threshold(
        tenant="default",
        detector="completion",
        framework="",
        min_confidence=0.99,
        who="me",
        version=1,
        at="2027-01-15T08:00:00Z",
    )
    assert thresholds.take(said)
    run = Tracking(thresholds=thresholds)
    run.send(called(2, "search", error="503 service unavailable"), a_root(3, error="no search"))
    run.wait(400)
    assert (len(run.told), run.found) == (1, [])
