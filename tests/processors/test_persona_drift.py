"""An agent that leaves its role, against one that keeps to it, and roles that bind to nothing."""

from __future__ import annotations

import pytest
from small_runs import Scribe, ref, reports

from processors.detector import AnyDetector
from processors.meaning.static_embedder import StaticEmbedder
from processors.persona_drift import PersonaDriftConfig, PersonaDriftDetector
from processors.spending.model_catalogue import PricedModels
from schemas.detection import CLOSED, OPEN

EMBEDDER = StaticEmbedder()
CHEF = "You are a pastry chef who explains baking, doughs, creams and desserts to hobby cooks. Be brief."
BAKING = (
    "Fold the whipped cream into the custard, then bake the pastry dough for twenty minutes until the crust is golden."
)
TAXES = (
    "Declare the capital gains on form eight, deduct travel expenses and submit the return before the April deadline."
)


def detector() -> AnyDetector:
    return PersonaDriftDetector(PersonaDriftConfig(), PricedModels(), EMBEDDER)


def outputs(role: str, *said: str) -> Scribe:
    run = Scribe()
    for text in said:
        run.llm(system_prompt=role, output_text=text)
    return run


def test_a_chef_who_gives_tax_advice_has_left_the_role() -> None:
    run = outputs(CHEF, TAXES)
    (finding,) = reports(detector(), run.steps)
    assert (finding.type, finding.tier, finding.status) == ("persona_drift", 3, OPEN)
    assert finding.first == ref(run.steps[0])
    assert finding.confidence < 0.8


def test_a_chef_who_bakes_has_not() -> None:
    assert reports(detector(), outputs(CHEF, BAKING, BAKING).steps) == []


def test_back_in_the_role_the_episode_is_over() -> None:
    run = outputs(CHEF, TAXES, BAKING, BAKING, BAKING, BAKING)
    assert [finding.status for finding in reports(detector(), run.steps)][-1] == CLOSED


@pytest.mark.parametrize("role", ["You are a helpful assistant.", "You are an AI language model that helps users.", ""])
def test_a_role_that_binds_to_no_field_is_never_left(role: str) -> None:
    assert reports(detector(), outputs(role, TAXES, BAKING).steps) == []


def test_short_answers_and_requests_for_tools_say_nothing_about_it() -> None:
    run = outputs(CHEF, "Sure, one moment please.")
    run.llm(system_prompt=CHEF, output_text=TAXES, asks=1)
    assert reports(detector(), run.steps) == []


def test_each_agent_has_a_role_of_its_own() -> None:
    run = Scribe()
    run.llm(system_prompt=CHEF, output_text=BAKING, agent="chef")
    run.llm(
        system_prompt="You are an accountant who prepares tax returns and deductions.", output_text=TAXES, agent="tax"
    )
    assert reports(detector(), run.steps) == []
