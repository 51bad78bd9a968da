"""Runs that end without having spoken of their task, and how they came to that."""

from __future__ import annotations

from small_runs import Scribe, ref

from processors.derailment import DerailmentConfig, DerailmentDetector
from processors.detector import At
from processors.meaning.derailment_report import NEVER, SLOW, SUDDEN, Course, course_of
from processors.meaning.static_embedder import StaticEmbedder
from processors.spending.model_catalogue import PricedModels
from schemas.detection import Finding
from schemas.step import AGENT, SpanRef, Step

EMBEDDER = StaticEmbedder()
TASK = "Fix the failing login test in the billing service and explain the cause"
LOGIN = "The login test of the billing service failed as a token had expired; I fixed it, this explains the cause."
PARTY = "Balloons, cake and a magician would make the garden celebration unforgettable; guests love loud music."


def found(steps: list[Step], **settings: bool) -> list[Finding]:
    subject = DerailmentDetector(DerailmentConfig(**settings), PricedModels(), EMBEDDER)
    state = subject.begin()
    for step in steps:
        item = subject.project(step)
        if item is not None:
            where = At(step.start_ns, step.end_ns, SpanRef(step.trace_id, step.span_id), step.agent)
            assert subject.observe(state, where, item) == ()
    return list(subject.finish(state))


def run(*said: str, task: str = TASK) -> Scribe:
    made = Scribe()
    made.add(AGENT, input_text=task, is_root=True)
    for text in said:
        made.llm(output_text=text)
    return made


def test_a_run_that_speaks_of_something_else_is_derailed() -> None:
    made = run(PARTY, PARTY)
    (finding,) = found(made.steps)
    assert (finding.type, finding.tier, finding.first) == ("derailment", 3, ref(made.steps[0]))
    assert finding.evidence["course"] == NEVER
    assert 0.35 <= finding.confidence <= 0.65


def test_a_run_on_its_task_is_not() -> None:
    assert found(run(LOGIN).steps, one_answer=True) == []


def test_what_is_done_on_the_way_is_no_drift_if_the_task_is_spoken_of() -> None:
    made = run("First I install the dependencies of the project and list the files", LOGIN)
    made.tool("bash", args="cat settings.py requirements.txt")
    assert found(made.steps) == []


def test_a_single_answer_is_left_out_unless_asked_for() -> None:
    assert found(run(PARTY).steps, one_answer=True) != []
    assert found(run(PARTY).steps) == []
    assert found(run(PARTY, PARTY).steps) != []


def test_without_a_task_or_with_little_said_it_stays_silent() -> None:
    assert found(run(PARTY, task="").steps, one_answer=True) == []
    assert found(run(PARTY, task="Go on").steps, one_answer=True) == []
    assert found(run("Done.").steps, one_answer=True) == []


def courses(*near: float) -> list[Course]:
    return [Course(SpanRef("t", f"{number:016x}"), one) for number, one in enumerate(near)]


def test_a_jump_and_a_slow_drift_are_told_apart() -> None:
    assert course_of(courses(0.7, 0.72, 0.69, 0.3, 0.31, 0.28)) == (SUDDEN, 3)
    assert course_of(courses(0.8, 0.7, 0.6, 0.5, 0.4, 0.3))[0] == SLOW
    assert course_of(courses(0.3, 0.31, 0.29, 0.3))[0] == NEVER
    assert course_of(courses(0.3))[0] == NEVER
