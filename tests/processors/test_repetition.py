"""The same thing in other words: what comes of it decides."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from small_runs import Scribe, ref, reports

from processors.detector import AnyDetector
from processors.model_catalogue import PricedModels
from processors.repetition import RepetitionConfig, RepetitionDetector
from processors.static_embedder import StaticEmbedder
from schemas.canonical import canonical, content_hash
from schemas.detection import CLOSED, OPEN
from schemas.step import AGENT

EMBEDDER = StaticEmbedder()
DESERT = "Atacama Desert is a desert plateau located on the Pacific coast of South America, in the north of Chile."
RAIN = (
    "average rainfall in the Atacama desert",
    "how much does it rain in the Atacama",
    "Atacama precipitation yearly amount",
    "yearly rainfall Atacama desert amount",
)


def detector() -> AnyDetector:
    return RepetitionDetector(RepetitionConfig(), PricedModels(), EMBEDDER)


def search(run: Scribe, query: str, result: str, tool: str = "search") -> None:
    asked = canonical({"query": query}).decode()
    run.tool(tool, args=asked, arguments=content_hash(asked.encode()), result=result, result_hash=result)


def searches(*pairs: tuple[str, str]) -> Scribe:
    run = Scribe()
    for query, result in pairs:
        search(run, query, result)
    return run


def talk(*sayings: str, told: Sequence[str] = ()) -> Scribe:
    run = Scribe()
    for number, saying in enumerate(sayings):
        run.llm(output_text=saying, input_text=told[number] if told else "")
    return run


def turns(*sayings: tuple[str, str]) -> Scribe:
    run = Scribe()
    for agent, saying in sayings:
        run.add(AGENT, agent=agent, output_text=saying)
    return run


def test_one_question_in_four_wordings_with_one_answer_is_repetition() -> None:
    run = searches(*((query, DESERT) for query in RAIN))
    (finding,) = reports(detector(), run.steps)
    assert (finding.type, finding.tier, finding.status) == ("repetition", 3, OPEN)
    assert finding.evidence["repetitions"] == 4
    assert (finding.spans[0], finding.spans[-1]) == (ref(run.steps[0]), ref(run.steps[-1]))
    assert finding.fix is not None
    assert finding.fix.fix_type == "circuit_breaker"
    assert finding.confidence < 0.8


def test_the_same_questions_with_new_answers_are_research() -> None:
    answers = (
        "It is the driest place.",
        "Fifteen millimetres fall.",
        "Arica has even less.",
        "Fog brings water.",
    )
    assert reports(detector(), searches(*zip(RAIN, answers, strict=True)).steps) == []


def test_answers_that_say_the_same_in_other_words_are_nothing_new() -> None:
    run = searches(
        (
            "refund policy for damaged items",
            "Our policy covers returns in general. Please contact support for specifics.",
        ),
        (
            "policy on refunds when items are damaged",
            "For specifics, contact support. The policy covers general returns.",
        ),
        (
            "damaged item refund rules",
            "Returns in general are covered by our policy, please contact support for specifics.",
        ),
        ("policy refund damaged goods", "Please contact our support for specifics; the policy covers returns."),
    )
    assert [finding.type for finding in reports(detector(), run.steps)] == ["repetition"]


@pytest.mark.parametrize(
    "questions",
    [
        ("weather in Paris", "weather in London", "weather in Berlin", "weather in Rome", "weather in Oslo"),
        ("page 1 of the list", "page 2 of the list", "page 3 of the list", "page 4 of the list", "page 5 of the list"),
        (
            "email on lunch to Ana",
            "email on lunch to Bo",
            "email on lunch to Cy",
            "email on lunch to Di",
        ),
    ],
)
def test_one_form_filled_in_again_and_again_is_work(questions: Sequence[str]) -> None:
    assert reports(detector(), searches(*((question, "done") for question in questions)).steps) == []


def test_an_agent_that_keeps_asking_whatever_it_is_told_repeats_itself() -> None:
    run = talk(
        "Could you please provide more details about the dataset so I can proceed?",
        "I need additional information on the dataset before I can continue. Can you share more details?",
        "To move forward, I require more details regarding the dataset. Could you provide them?",
        "In order to proceed I would need further details about your dataset.",
        told=(
            "Please analyse it.",
            "Please go ahead and analyse it.",
            "Go ahead please, analyse.",
            "Please analyse it now.",
        ),
    )
    (finding,) = reports(detector(), run.steps)
    assert finding.evidence["about"] == "saying"


def test_agents_that_ask_each_other_for_the_same_repeat_themselves() -> None:
    run = turns(
        ("writer", "Please review the draft and give me your feedback."),
        ("reviewer", "I have looked at the draft. It looks good, please make any final changes you see fit."),
        ("writer", "Could you take another look at the draft and share feedback?"),
        ("reviewer", "The draft looks good to me. Feel free to make the final changes."),
        ("writer", "Please look over the draft once more and let me have your feedback."),
        ("reviewer", "Looks good, make whatever final changes you like to the draft."),
        ("writer", "Would you review the draft again and tell me your feedback?"),
        ("reviewer", "I reviewed the draft, it is good. Please go on with final changes."),
    )
    (finding,) = reports(detector(), run.steps)
    assert finding.evidence["repetitions"] == 4


def test_rounds_of_review_that_bring_something_each_time_are_none() -> None:
    run = turns(
        ("writer", "Please review the draft."),
        ("reviewer", "The introduction lacks a motivation, please add one."),
        ("writer", "I added the motivation, please review the draft again."),
        ("reviewer", "The evaluation section has no baseline, compare with one."),
        ("writer", "Baseline comparison added. Please review the draft."),
        ("reviewer", "The conclusion is too long, shorten it."),
        ("writer", "Conclusion shortened, please review the draft."),
        ("reviewer", "Approved."),
    )
    assert reports(detector(), run.steps) == []


def test_what_was_done_between_two_sayings_parts_them() -> None:
    run = Scribe()
    for saying in (
        "Could you please provide more details about the dataset so I can proceed?",
        "I need additional information on the dataset before I can continue. Can you share more details?",
        "To move forward, I require more details regarding the dataset. Could you provide them?",
        "In order to proceed I would need further details about your dataset.",
    ):
        run.llm(output_text=saying)
        search(run, f"columns {saying[:9]}", f"The dataset has columns {saying[9:30]}")
    assert reports(detector(), run.steps) == []


def test_an_episode_ends_with_the_second_act_about_something_else() -> None:
    run = searches(*((query, DESERT) for query in RAIN))
    search(run, "opening hours of the city museum", "Ten to six")
    assert [finding.status for finding in reports(detector(), run.steps)] == [OPEN]
    search(run, "ticket price of the city museum", "Nine euros")
    assert [finding.status for finding in reports(detector(), run.steps)] == [OPEN, CLOSED]


def test_without_content_it_stays_silent() -> None:
    run = Scribe()
    for _ in range(10):
        run.tool("search")
        run.llm(1_000)
        run.add(AGENT)
    assert reports(detector(), run.steps) == []


def test_it_cannot_be_made_without_what_makes_vectors() -> None:
    with pytest.raises(ValueError, match="repetition reads vectors"):
        RepetitionDetector(RepetitionConfig(), PricedModels())
