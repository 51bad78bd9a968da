"""Contexts near their model's window."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from small_runs import Scribe, ref, reports

from processors.context_refusals import refused_for_length
from processors.detector import AnyDetector
from processors.overflow import OverflowConfig, OverflowDetector
from processors.spending.model_catalogue import PricedModels
from schemas.detection import CLOSED, OPEN
from schemas.step import AGENT, Usage

MODELS = PricedModels()
WINDOW = 128_000  # of gpt-4o


def detector() -> AnyDetector:
    return OverflowDetector(OverflowConfig(), MODELS)


def growing(*shares: float) -> Scribe:
    run = Scribe()
    for share in shares:
        run.llm(int(WINDOW * share))
    return run


def test_one_episode_goes_from_warning_to_high_to_refusal() -> None:
    run = growing(0.2, 0.4, 0.6, 0.7, 0.8, 0.86, 0.9, 0.96, 0.97)
    run.llm(error="maximum context length is 128000 tokens", error_type="BadRequestError")
    warned, high, refused = reports(detector(), run.steps)
    assert [finding.severity for finding in (warned, high, refused)] == ["medium", "high", "critical"]
    assert len({(finding.fingerprint, finding.first) for finding in (warned, high, refused)}) == 1
    assert warned.first == ref(run.steps[5])
    assert high.spans[-1] == ref(run.steps[7])
    assert refused.spans[-1] == ref(run.steps[9])


def test_the_evidence_says_how_long_the_room_lasts() -> None:
    run = growing(0.55, 0.65, 0.75, 0.85)
    (finding,) = reports(detector(), run.steps)
    assert finding.evidence["window_tokens"] == WINDOW
    assert finding.evidence["share"] == pytest.approx(0.85, abs=1e-3)
    assert finding.evidence["growth_tokens_per_call"] == pytest.approx(12_800, abs=1)
    assert finding.evidence["calls_until_full"] == 2


@given(st.lists(st.floats(0.001, 0.64), min_size=1, max_size=20))
def test_below_65_percent_nothing_is_wrong(shares: list[float]) -> None:
    assert reports(detector(), growing(*shares).steps) == []


def test_a_context_that_is_two_thirds_full_is_worth_a_word_only_if_it_began_so() -> None:
    assert reports(detector(), growing(*(0.05 * n for n in range(1, 15))).steps) == []
    (soon,) = reports(detector(), growing(0.7, 0.71).steps)
    assert soon.severity == "low"
    assert soon.evidence["calls_until_full"] == 1


def test_room_asked_for_the_answer_counts_once_the_context_is_large() -> None:
    run = growing(*(0.02 * n for n in range(1, 35)))
    run.llm(int(WINDOW * 0.7), max_tokens=64_000)
    (finding,) = reports(detector(), run.steps)
    assert "no longer fit" in finding.explanation


def test_a_trimmed_context_closes_the_episode_and_a_new_one_may_begin() -> None:
    run = growing(0.8, 0.9, 0.3, 0.9)
    found = reports(detector(), run.steps)
    assert [(finding.status, finding.severity) for finding in found] == [
        (OPEN, "low"),
        (OPEN, "medium"),
        (CLOSED, "medium"),
        (OPEN, "medium"),
    ]
    assert found[3].first == ref(run.steps[3]) != found[0].first


def test_agents_and_models_have_contexts_of_their_own() -> None:
    run = Scribe()
    for _ in range(4):
        run.llm(110_000, agent="coder")
        run.llm(2_000, agent="router")
        run.llm(110_000, agent="reader", model="gemini-2.0-flash")
    found = reports(detector(), run.steps)
    assert {finding.first for finding in found} == {ref(run.steps[0])}


def test_cached_input_fills_the_window_too() -> None:
    run = Scribe()
    run.llm(usage=Usage(120_000, 10, cache_read=119_000))
    assert reports(detector(), run.steps)[0].severity == "medium"


def test_an_agents_own_sum_is_no_context() -> None:
    run = Scribe()
    run.add(AGENT, usage=Usage(900_000, 10), model="gpt-4o")
    assert reports(detector(), run.steps) == []


def test_a_refusal_is_told_even_of_a_model_nobody_knows() -> None:
    run = Scribe()
    run.llm(model="house-model", error="context_length_exceeded")
    (finding,) = reports(detector(), run.steps)
    assert finding.evidence["window_tokens"] is None
    assert finding.severity == "critical"


@pytest.mark.parametrize(
    "error",
    [
        "Error code: 400 - {'error': {'code': 'context_length_exceeded'}}",
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
        "prompt is too long: 210044 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "ValidationException: Input is too long for requested model.",
        "too many tokens: total number of tokens in the prompt cannot exceed 4081",
        "litellm.ContextWindowExceededError: ...",
        "the request exceeds the available context size, try increasing it",
        "This model's maximum prompt length is 131072 but the request contains 140000 tokens.",
        "`inputs` tokens + `max_new_tokens` must be <= 8193",
    ],
)
def test_refusals_are_recognised_across_providers(error: str) -> None:
    assert refused_for_length("", error, "")


@pytest.mark.parametrize(
    "error",
    [
        "Rate limit reached: Request too large on tokens per min (TPM): Limit 30000, Requested 40000",
        "429 Too Many Requests: quota exceeded for input tokens per minute",
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens",
        "Connection reset by peer",
        "Invalid value for 'temperature': too large",
        "",
    ],
)
def test_other_refusals_are_not_taken_for_it(error: str) -> None:
    assert not refused_for_length("", error, "")


def test_a_run_that_stops_at_the_window_counts_as_refused() -> None:
    assert refused_for_length("", "", "model_context_window_exceeded")


def test_shares_out_of_order_are_refused() -> None:
    with pytest.raises(ValidationError, match="warn_share"):
        OverflowConfig(warn_share=0.97)
