"""Which texts of a run the full model is asked to compare."""

from __future__ import annotations

from typing import Any

from escalated_runs import span, trace
from looked_runs import saying_steps

from processors.looking.questions import question_of
from processors.looking.weighing import AWAY
from schemas.step import AGENT, Step

RUN = trace(1)
TASK = "Fix the login"
TOLD = ("I fix the login", "The login is fixed", "Balloons for the garden", "A magician too")


def asked_about(left: str) -> tuple[str, ...]:
    steps = saying_steps(RUN, TOLD)
    asked = Step("t", RUN, RUN, span(99), AGENT, 0, 1, agent="clerk", input_text=TASK, output_text=TOLD[0])
    document: dict[str, Any] = {"type": "derailment", "evidence": {}, "span_ids": [asked.span_id, left]}
    question = question_of(document, [asked, *steps])
    assert question is not None
    assert question.scale is AWAY
    assert all(one == 0 for one, _ in question.pairs)
    return question.texts


def test_a_run_that_left_its_task_is_asked_about_what_it_said_from_there_on() -> None:
    steps = saying_steps(RUN, TOLD)
    assert asked_about(steps[2].span_id) == (TASK, *TOLD[2:])
    assert asked_about(steps[0].span_id) == (TASK, *TOLD)


def test_where_the_step_is_no_longer_known_all_that_is_known_is_compared() -> None:
    assert asked_about(span(98)) == (TASK, *TOLD)
