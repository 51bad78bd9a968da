"""Runs that leave their task, at once or slowly, and runs that never spoke of it."""

from __future__ import annotations

from small_runs import Scribe, ref

from processors.derailment import DerailmentConfig, DerailmentDetector
from processors.detector import At
from processors.meaning.derailment_report import NEVER, PLANS
from processors.meaning.static_embedder import StaticEmbedder
from processors.meaning.task_course import (
    FIRST_KEPT,
    LAST_KEPT,
    SLOW,
    SUDDEN,
    Course,
    Departure,
    departure_of,
    extended,
)
from processors.spending.model_catalogue import PricedModels
from schemas.detection import Finding
from schemas.step import AGENT, LLM, SpanRef, Step

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


ON_TASK = (
    LOGIN,
    "I read the billing service's login code and run the failing test again",
    "The test of the login fails because the token of the billing service expires",
    "Now I fix the login of the billing service, so that the failing test passes",
)
ELSEWHERE = (
    PARTY,
    "For the garden I suggest lanterns, a barbecue with grilled vegetables, and lemonade for the children",
    "A magician costs three hundred euros; balloons and cake come on top of that",
    "Guests should bring blankets, since summer evenings in the garden become chilly",
)


def test_a_run_that_goes_away_from_its_task_is_derailed() -> None:
    made = run(*ON_TASK, *ELSEWHERE)
    (finding,) = found(made.steps)
    assert (finding.type, finding.tier) == ("derailment", 3)
    assert finding.spans == (ref(made.steps[0]), ref(made.steps[5]))
    assert finding.evidence["course"] == SUDDEN
    assert 0.35 <= finding.confidence <= 0.65


def test_a_run_that_stays_or_comes_back_has_not_left() -> None:
    assert found(run(*ON_TASK, *ON_TASK).steps) == []
    assert found(run(*ELSEWHERE, *ON_TASK).steps) == []
    assert found(run(*ON_TASK[:2], *ELSEWHERE[:3], *ON_TASK[2:]).steps) == []


def test_a_run_that_never_was_near_its_task_has_not_left_it() -> None:
    assert found(run(*ELSEWHERE, *ELSEWHERE).steps) == []


def test_what_an_agent_ends_with_does_not_stand_before_what_its_model_says() -> None:
    def turn(ends_with: str, *said: str) -> list[Step]:
        made = Scribe()
        made.add(AGENT, input_text=TASK, output_text=ends_with, is_root=True)
        for text in said:
            made.llm(output_text=text)
        return made.steps

    assert found(turn(LOGIN, *ELSEWHERE, *ELSEWHERE)) == []
    assert found(turn(PARTY, *ON_TASK, *ELSEWHERE)) != []


def test_turns_of_agents_count_where_no_model_is_seen() -> None:
    made = Scribe()
    made.add(AGENT, input_text=TASK, is_root=True)
    for text in (*ON_TASK, *ELSEWHERE):
        made.add(AGENT, output_text=text)
    assert found(made.steps) != []
    assert all(step.kind != LLM for step in made.steps)


def test_a_run_that_speaks_of_something_else_all_along_is_told_if_asked_for() -> None:
    made = run(PARTY, PARTY)
    (finding,) = found(made.steps, one_answer=True)
    assert (finding.type, finding.tier, finding.first) == ("derailment", 3, ref(made.steps[0]))
    assert finding.evidence["course"] == NEVER
    assert 0.35 <= finding.confidence <= 0.65
    assert found(made.steps) == []


def test_a_run_on_its_task_is_not() -> None:
    assert found(run(LOGIN).steps, one_answer=True) == []


def test_what_is_done_on_the_way_is_no_drift_if_the_task_is_spoken_of() -> None:
    made = run("First I install the dependencies of the project and list the files", LOGIN)
    made.tool("bash", args="cat settings.py requirements.txt")
    assert found(made.steps, one_answer=True) == []


def test_a_single_answer_is_left_out_unless_asked_for() -> None:
    assert found(run(PARTY).steps, one_answer=True) != []
    assert found(run(PARTY).steps) == []


def test_without_a_task_or_with_little_said_it_stays_silent() -> None:
    assert found(run(PARTY, task="").steps, one_answer=True) == []
    assert found(run(PARTY, task="Go on").steps, one_answer=True) == []
    assert found(run("Done.").steps, one_answer=True) == []


def courses(*near: float) -> list[Course]:
    return [Course(SpanRef("t", f"{number:016x}"), one) for number, one in enumerate(near)]


def left(*near: float) -> Departure | None:
    return departure_of(courses(*near))


def test_a_jump_and_a_slow_drift_are_told_apart() -> None:
    jump, drift = left(0.4, 0.42, 0.39, 0.0, 0.01, -0.02), left(0.5, 0.45, 0.35, 0.15, 0.05, 0.0, -0.02)
    assert jump is not None
    assert (jump.how, jump.place) == (SUDDEN, 3)
    assert drift is not None
    assert drift.how == SLOW


def test_a_fall_counts_that_is_deep_and_stands_out_of_how_much_steps_differ_anyway() -> None:
    assert left(0.4, 0.42, 0.39, 0.2, 0.21, 0.19) is None
    assert left(0.9, 0.0, 0.1, -0.3, 0.3, 0.0) is None
    assert left(0.05, 0.06, 0.05, 0.0, 0.0, 0.0) is None
    assert left(0.3, 0.31, 0.29, 0.3) is None
    assert left(0.3) is None


def test_what_is_remembered_of_a_long_run_is_bounded_and_its_beginning_stays() -> None:
    kept: list[Course] = []
    for step in courses(*(number / 1_000 for number in range(500))):
        kept = extended(kept, step)
    assert len(kept) == FIRST_KEPT + LAST_KEPT
    assert [kept[0].near, kept[FIRST_KEPT].near, kept[-1].near] == [0.0, 0.468, 0.499]


FIXED = "The login test failed because a billing token had expired; it passes again."
REBUILD = (
    "Before I look at that, let me redesign the whole checkout with a wizard. I'll also migrate every table to another "
    "database, and we should adopt an event bus with dashboards for marketing."
)


def test_a_run_that_ends_with_plans_nobody_asked_for_is_derailed() -> None:
    made = run(REBUILD)
    (finding,) = found(made.steps)
    assert finding.evidence["course"] == PLANS
    assert finding.spans == (ref(made.steps[0]), ref(made.steps[1]))
    assert {"redesign", "migrate", "marketing"} & set(finding.evidence["unasked"])
    assert finding.confidence > 0.65


def test_plans_on_the_way_to_results_are_none() -> None:
    assert found(run(REBUILD, FIXED).steps) == []
    assert found(run(f"{FIXED} A clock was two hours late, in the container of the runner. Let me know.").steps) == []


def test_plans_that_were_asked_for_are_none() -> None:
    task = "Plan the redesign of our whole checkout wizard, another database for its tables, an event bus for marketing"
    assert found(run(REBUILD, task=task).steps) == []


def test_questions_and_offers_are_no_plans() -> None:
    asks = "Could you tell me which service, token and container this is about? Should I look at staging or production?"
    offers = "I'd be happy to help with dashboards, wizards, databases and marketing whenever you like. Let me know."
    assert found(run(asks).steps) == []
    assert found(run(offers).steps) == []


def test_what_an_answer_quotes_it_does_not_announce() -> None:
    mail = "They wrote: \"Let's meet at the island, I'll bring snacks, then we should climb the northern ridge\"."
    assert found(run(mail).steps) == []


def test_a_model_that_calls_a_tool_has_not_answered_yet() -> None:
    made = run()
    made.llm(output_text=REBUILD, asks=1)
    assert found(made.steps) == []
