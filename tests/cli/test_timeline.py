"""The steps of a diagnosis, as people see them: nested, folded, and never wider than the terminal."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracked_runs import NoPrices, a_detection, a_root, a_step

from collector.cli import timeline_view
from collector.cli.timeline import MOST_ROWS, Row, rows_of, slim
from processors.diagnosing.case import new_case
from processors.diagnosing.notes import note_of
from processors.diagnosing.summing import summary_of
from processors.diagnosing.told import told_of
from processors.runs.state import Facts
from schemas.run_document import document_of
from schemas.step import LLM, TOOL, Step, ToolCall

ROOT = "f" * 16


def call(number: int, args: str = "same", **what: Any) -> Step:
    return a_step(number, TOOL, tool="search", args=args, args_hash=args, result="nothing", **what)


def shown(
    steps: Sequence[Step], *found: dict[str, Any], width: int = 140, ended: bool = True, later: Sequence[Step] = ()
) -> str:
    """Print a run as a pipe gets it."""
    case, facts = new_case(), Facts()
    case.take([note_of(step, NoPrices()) for step in steps], 1_000)
    summary = summary_of("default", steps[0].run_id, facts, case, told_of(found), ended)
    out, sys.stdout = sys.stdout, io.StringIO()
    before, timeline_view.PIPE_WIDTH = timeline_view.PIPE_WIDTH, width
    try:
        timeline_view.print_diagnosis(document_of(summary), [*steps, *later], ended)
        return sys.stdout.getvalue()
    finally:
        sys.stdout, timeline_view.PIPE_WIDTH = out, before


def test_four_hundred_equal_calls_are_one_line() -> None:
    (row,) = rows_of([call(number) for number in range(400)], {}, "")
    assert (row.folded, row.tokens) == (400, 0)
    assert row.until_ns == call(399).end_ns


def test_rounds_of_the_same_few_steps_are_a_line_each() -> None:
    steps = [step for n in range(0, 40, 2) for step in (a_step(n, LLM, output_hash="a"), call(n + 1))]
    assert [(row.step.kind, row.folded, row.period) for row in rows_of(steps, {}, "")] == [(LLM, 20, 2), (TOOL, 20, 0)]


def test_calls_with_other_arguments_are_other_calls() -> None:
    assert len(rows_of([call(number, str(number)) for number in range(20)], {}, "")) == 20


def test_what_somebody_came_for_is_never_folded_away() -> None:
    steps = [call(number, str(number)) for number in range(300)]
    steps[140] = call(140, error="boom")
    rows = rows_of(steps, {steps[100].span_id: [1]}, steps[200].span_id)
    places = {int(row.step.span_id, 16) for row in rows if not row.elided}
    assert {0, 299, 100, 140, 200} <= places
    assert len(rows) <= MOST_ROWS
    assert sum(row.folded for row in rows) == 300


def test_steps_stand_inside_of_those_they_belong_to() -> None:
    inner = a_step(2, LLM, parent_span_id=f"{1:016x}")
    rows = rows_of([a_step(1, "agent"), inner, a_step(3, "step", parent_span_id=f"{9:016x}")], {}, "")
    assert [(row.step.kind, row.depth) for row in rows] == [("agent", 0), (LLM, 1), ("step", 0)]


def test_what_only_wraps_others_is_left_out_unless_it_failed() -> None:
    wrapped = [a_step(1, "step"), call(2, parent_span_id=f"{1:016x}")]
    assert [row.step.kind for row in rows_of(wrapped, {}, "")] == [TOOL]
    failed = [a_step(1, "step", error="boom"), *wrapped[1:]]
    assert [row.step.kind for row in rows_of(failed, {}, "")] == ["step", TOOL]


@st.composite
def trees(draw: Any) -> list[Step]:
    """Draw steps whose parents are any of them, themselves included."""
    count = draw(st.integers(1, 30))
    parents = draw(st.lists(st.integers(0, 35), min_size=count, max_size=count))
    errors = draw(st.lists(st.sampled_from(("", "boom")), min_size=count, max_size=count))
    kinds = draw(st.lists(st.sampled_from((LLM, TOOL, "step", "agent")), min_size=count, max_size=count))
    made = zip(range(count), kinds, parents, errors, strict=True)
    return [a_step(n, kind, parent_span_id=f"{parent:016x}", error=error) for n, kind, parent, error in made]


@given(trees())
def test_each_step_is_in_one_row_whatever_ties_them_together(steps: list[Step]) -> None:
    rows = rows_of(steps, {}, "")
    held = [step for step in steps if step.kind != "step" or step.failed]
    assert sum(row.folded for row in _but_wrappers(rows)) == len(held)


def _but_wrappers(rows: list[Row]) -> Iterator[Row]:
    return (row for row in rows if row.step.kind != "step" or row.step.failed)


@pytest.mark.parametrize("width", [60, 80, 140])
def test_nothing_is_wider_than_the_terminal(width: int) -> None:
    steps = [a_root(9, span_id=ROOT, output_text="word " * 200), *(call(n, parent_span_id=ROOT) for n in range(1, 8))]
    lines = shown(steps, a_detection("loop", 1, 3), width=width).splitlines()
    assert max(map(len, lines)) <= width


def test_a_diagnosis_reads_from_what_went_wrong_to_the_step_at_fault() -> None:
    asking = a_step(2, LLM, output_text="I ask for it once more.", parent_span_id=ROOT)
    steps = [a_root(9, span_id=ROOT, error="no quota"), call(1, parent_span_id=ROOT), asking]
    steps += [call(number, parent_span_id=ROOT) for number in (3, 4, 5, 6)]
    text = shown(steps, a_detection("loop", 1, 3), a_detection("cost", 1, 6))
    assert text.splitlines()[0] == f"failed  run {steps[0].run_id}"
    assert "The run failed: no quota. What went wrong first: loop at 1. From that followed: cost at 1." in text
    assert "cost of [1]" in text
    (fault,) = [line for line in text.splitlines() if line.startswith("▶")]
    assert "I ask for it once more." in fault
    (first,) = [line for line in text.splitlines() if "tool search " in line and "[1]" in line and "1.00s" in line]
    assert "same → nothing" in first
    assert "\x1b" not in text


def test_a_run_that_goes_on_says_so_and_one_in_which_nothing_shows_says_where_to_look() -> None:
    text = shown([call(1), a_step(2, LLM, output_text="I ask for it once more.")], ended=False)
    assert text.startswith("running  run ")
    assert "It goes on: what follows is as of now." in text
    assert any(line.startswith("▷") for line in text.splitlines())


def test_texts_of_spans_drive_no_terminal() -> None:
    evil = "\x1b]0;x\x07[bold]\n"
    steps = [a_root(3, error=evil, service=evil), a_step(1, TOOL, tool=evil, agent=evil, result=evil)]
    text = shown(steps, {**a_detection("loop", 1), "title": evil, "type": evil})
    assert "\x1b" not in text
    assert "[bold]" in text


def test_a_run_that_went_on_after_it_was_told_says_so() -> None:
    steps = [call(1), call(2)]
    assert "gone on since" not in shown(steps)
    assert "gone on since" in shown(steps, later=[call(9)])


def test_of_long_texts_no_more_is_held_than_is_shown_and_the_same_steps_stay_the_same() -> None:
    said = {"output_text": "a" * 9_000, "output_hash": "a", "calls": (ToolCall("c", "search", "b" * 9_000),)}
    step = a_step(
        1, LLM, input_text="c" * 9_000, system_prompt="e" * 9_000, state="f" * 9_000, error="d" * 9_000, **said
    )
    assert len(msgspec.msgpack.encode(slim(step))) < 2_000
    assert shown([slim(step)]) == shown([step])
    assert len(rows_of([slim(call(number)) for number in range(9)], {}, "")) == 1
