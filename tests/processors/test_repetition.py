"""The same thing in other words: what comes of it decides."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from small_runs import Scribe, ref, reports

from processors.detector import AnyDetector
from processors.meaning.static_embedder import StaticEmbedder
from processors.repetition import RepetitionConfig, RepetitionDetector
from processors.spending.model_catalogue import PricedModels
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

CHURN = (
    (
        "To analyze the customer churn data, I will start by examining the overall churn rate and identifying"
        " the main factors that contribute to customers leaving. Key factors usually include pricing, service"
        " quality, and customer support responsiveness. By understanding these drivers, we can develop "
        "targeted retention strategies that reduce churn and improve customer satisfaction over time."
    ),
    (
        "I will analyze the churn data for our customers by first looking at the general churn rate, then "
        "determining which factors drive customers to leave. Typically these are price, quality of service, "
        "and how responsive support is. Knowing these drivers lets us design retention strategies that are "
        "targeted, lower churn, and raise satisfaction."
    ),
    (
        "Let me begin the customer churn analysis. First, I will review the overall rate of churn and find the "
        "primary reasons customers leave, such as pricing, the quality of the service, and responsiveness of "
        "customer support. With an understanding of these factors we could create targeted strategies for "
        "retention to improve satisfaction and reduce churn."
    ),
    (
        "In order to analyze churn, I will look into the overall churn rate of customers and identify the "
        "main drivers: pricing, service quality and support responsiveness. Understanding why customers leave"
        " helps us to develop retention strategies which improve customer satisfaction and reduce churn over "
        "time."
    ),
)
CONTRACTS = (
    (
        "Reviewed the contract of supplier Alpina: payment within thirty days, liability capped at the yearly"
        " fee, governing law Austria, termination with three months notice. The clause on data processing "
        "lacks an annex and should be renegotiated before signing. Insurance certificates are attached and "
        "valid until December."
    ),
    (
        "Reviewed the contract of supplier Borealis: payment within sixty days, liability unlimited for gross"
        " negligence, governing law Norway, termination only for cause. The indemnity clause is one-sided and"
        " should be renegotiated before signing. Insurance certificates are missing and were requested from "
        "the broker."
    ),
    (
        "Reviewed the contract of supplier Cassiopeia: prepayment of half the price, liability excluded for "
        "indirect damage, governing law Ireland, automatic renewal every year. The audit clause conflicts "
        "with our policy and should be renegotiated before signing. Insurance certificates expire in October."
    ),
    (
        "Reviewed the contract of supplier Dorado: payment on delivery, liability capped at one million, "
        "arbitration in Geneva, termination with one month notice. The warranty clause is acceptable as "
        "written, so nothing needs renegotiation before signing. Insurance certificates are attached and "
        "valid."
    ),
)
"""One subject in other words each time, and one kind of work on another subject each time."""


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


def states(sayings: Sequence[str]) -> Scribe:
    run = Scribe()
    for number, saying in enumerate(sayings):
        state = canonical({"step": number, "output_length": len(saying)}).decode()
        run.add(AGENT, output_text=saying, state=state, state_hash=content_hash(state.encode()))
    return run


def test_long_texts_that_say_the_same_are_repetition_though_a_counter_goes_up() -> None:
    for run in (states(CHURN), talk(*CHURN)):
        (finding,) = reports(detector(), run.steps)
        assert finding.evidence["about"] == "saying"


def test_long_texts_of_one_kind_about_other_things_are_work() -> None:
    assert reports(detector(), states(CONTRACTS).steps) == []
    assert reports(detector(), talk(*CONTRACTS).steps) == []


def test_a_state_that_only_counts_attempts_is_no_progress() -> None:
    run = Scribe()
    for number, saying in enumerate(
        (
            "I apologize for the confusion. Let me try to access the customer's record again.",
            "Sorry about that. I'll attempt to open the customer record once more.",
            "My apologies, let me try again to retrieve the record of this customer.",
            "Sorry for the trouble, I will try accessing the customer's record again.",
        )
    ):
        state = canonical({"attempt": number}).decode()
        run.add(AGENT, output_text=saying, state=state, state_hash=content_hash(state.encode()))
    assert [finding.type for finding in reports(detector(), run.steps)] == ["repetition"]


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
