"""Budgets of a run, and tokens that grow faster than the run explains."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from small_runs import Scribe, ref, reports

from processors.cost import CostConfig, CostDetector, CostState
from processors.detector import AnyDetector, At
from processors.spending.budgets import Budgets
from processors.spending.model_catalogue import PricedModels
from schemas.detection import CLOSED, OPEN
from schemas.step import Usage

MODELS = PricedModels()


def detector(run_usd: float | None = None) -> AnyDetector:
    return CostDetector(CostConfig(budgets=Budgets(run_usd=run_usd)), MODELS)


def test_a_run_is_warned_of_at_four_fifths_and_breached_at_its_budget() -> None:
    run = Scribe()
    for _ in range(12):
        run.llm(10_000, output=0)  # 0.025 USD
    warned, breached = reports(detector(0.25), run.steps)
    assert (warned.type, warned.severity, warned.stage) == ("cost", "medium", 1)
    assert (breached.severity, breached.stage) == ("high", 2)
    assert warned.spans == (ref(run.steps[0]), ref(run.steps[7]))
    assert breached.spans == (ref(run.steps[0]), ref(run.steps[9]))
    assert (warned.fingerprint, warned.first) == (breached.fingerprint, breached.first)
    assert breached.evidence["spent_usd"] == pytest.approx(0.25)
    assert breached.fix is not None
    assert breached.fix.fix_type == "budget_limiter"


def test_twice_the_budget_is_told_once_more_and_then_no_more() -> None:
    run = Scribe()
    for _ in range(60):
        run.llm(10_000, output=0)
    _, breached, out_of_hand = reports(detector(0.25), run.steps)
    assert (out_of_hand.stage, out_of_hand.severity) == (3, "critical")
    assert out_of_hand.spans == breached.spans


def test_without_a_budget_money_is_no_finding() -> None:
    run = Scribe()
    run.llm(100_000)
    assert reports(detector(), run.steps) == []


def test_the_agents_own_figure_counts_instead_of_the_price_list() -> None:
    run = Scribe()
    run.llm(10_000, cost_usd=5.0)
    (finding,) = reports(detector(1.0), run.steps)
    assert finding.evidence["spent_usd"] == 5.0
    assert finding.stage == 3


def test_calls_that_nobody_can_price_are_named_in_the_evidence() -> None:
    run = Scribe()
    run.llm(9_000, model="house-model")
    run.llm(400_000, output=0)
    (finding,) = reports(detector(1.0), run.steps)
    assert finding.evidence["unpriced_models"] == ["house-model"]
    assert finding.evidence["unpriced_calls"] == 1
    assert finding.confidence < 0.99


def test_cached_input_is_cheaper() -> None:
    run = Scribe()
    run.llm(usage=Usage(100_000, 0, cache_read=100_000))
    assert reports(detector(0.2), run.steps) == []


@pytest.mark.parametrize("budget", [0, -1, float("inf")])
def test_a_budget_must_be_a_positive_amount(budget: float) -> None:
    with pytest.raises(ValidationError, match="run_usd"):
        Budgets(run_usd=budget)


def test_a_history_that_piles_up_is_no_explosion() -> None:
    run, size = Scribe(), 1_500
    for _ in range(60):
        run.llm(size, output=180)
        run.tool(size=600)
        size += 400
    assert reports(detector(), run.steps) == []


def test_even_unexplained_growth_is_none_while_it_is_linear() -> None:
    run = Scribe()
    for number in range(1, 15):
        run.llm(9_000 * number, output=50)
    assert reports(detector(), run.steps) == []


def test_a_large_result_explains_a_large_call() -> None:
    run = Scribe()
    for _ in range(5):
        run.llm(2_000, asks=1)
        run.tool(size=50)
    run.llm(2_000, asks=1)
    run.tool(size=160_000)
    run.llm(42_000)
    assert reports(detector(), run.steps) == []


def test_a_call_far_beyond_the_rest_is_a_spike_and_ends_with_the_next_usual_one() -> None:
    run = Scribe()
    for tokens in (2_000, 2_200, 1_900, 2_100, 31_000, 2_000):
        run.llm(tokens, asks=1)
        run.tool()
    opened, closed = reports(detector(), run.steps)
    assert (opened.type, opened.status, opened.evidence["kind"]) == ("token_explosion", OPEN, "spike")
    assert opened.spans == (ref(run.steps[8]),)
    assert (closed.status, closed.first) == (CLOSED, opened.first)


def test_input_that_multiplies_is_told_at_the_third_time() -> None:
    run = Scribe()
    run.tool()
    for tokens in (1_500, 1_400, 1_600, 3_000, 5_700, 10_800, 20_500, 41_000):
        run.llm(tokens)
    first = reports(detector(), run.steps)[0]
    assert first.evidence["kind"] == "multiplying"
    assert first.spans == (ref(run.steps[4]), ref(run.steps[6]))
    assert first.severity == "high"


def test_an_episode_is_told_again_only_when_its_size_doubles() -> None:
    run = Scribe()
    run.tool()
    for tokens in (1_500, 1_400, 1_600, 3_000, 5_700, 10_800, 20_500, 25_000, 52_000, 80_000):
        run.llm(tokens)
    assert [finding.stage for finding in reports(detector(), run.steps)] == [0, 1, 2]


def test_an_answer_that_runs_on_is_a_spike() -> None:
    run = Scribe()
    run.tool()
    for output in (200, 240, 180, 220, 260, 9_000):
        run.llm(1_500, output=output)
    (finding,) = reports(detector(), run.steps)
    assert finding.evidence["largest_output_tokens"] == 9_000


def test_an_agent_that_writes_files_may_write_a_long_one() -> None:
    run, size = Scribe(), 4_000
    for output in (60, 900, 30, 1_400, 120, 45, 2_000, 80, 9_000):
        run.llm(size, output=output)
        size += output + 100
    assert reports(detector(), run.steps) == []


def test_without_captured_results_a_jump_says_nothing() -> None:
    run = Scribe()
    for tokens in (2_000, 2_200, 1_900, 2_100, 31_000, 2_000):
        run.llm(tokens, finish="tool_call")
        run.tool(size=0)
    assert reports(detector(), run.steps) == []


def test_a_long_report_after_short_calls_is_no_spike() -> None:
    run = Scribe()
    for _ in range(6):
        run.llm(1_500, output=50, asks=1)
        run.tool()
    run.llm(1_900, output=3_500)
    assert reports(detector(), run.steps) == []


def test_a_chain_whose_documents_come_from_nowhere_to_be_seen_is_no_spike() -> None:
    run = Scribe()
    for tokens in (300, 320, 12_000):
        run.llm(tokens)
    assert reports(detector(), run.steps) == []


def test_inputs_that_multiply_for_long_are_told_even_without_content_but_not_for_sure() -> None:
    run = Scribe()
    for number in range(9):
        run.llm(int(1_500 * 1.8**number))
    (finding, *_) = reports(detector(), run.steps)
    assert finding.evidence["explained_tokens"] is None
    assert finding.confidence < 0.65


@given(st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 60_000)), max_size=30), st.integers(200, 20_000))
@settings(max_examples=60, deadline=None)
def test_what_the_run_has_said_and_read_never_explodes(turns: list[tuple[int, int]], base: int) -> None:
    run, size = Scribe(), base
    for output, result in turns:
        run.llm(size, output=output, asks=1)
        run.tool(size=result)
        size += output + result // 3
    assert reports(detector(), run.steps) == []


def test_agents_do_not_share_their_usual_size() -> None:
    run = Scribe()
    for _ in range(6):
        run.llm(500, agent="router")
        run.llm(40_000, agent="coder")
    assert reports(detector(), run.steps) == []


def test_the_state_does_not_grow_with_the_run() -> None:
    subject = detector(1_000_000.0)
    state: CostState = subject.begin()
    run = Scribe()
    for number in range(3_000):
        step = run.llm(1_000 + number * 7_919 % 90_000, model=f"model-{number}", agent=f"agent-{number}")
        item = subject.project(step)
        subject.observe(state, At(step.start_ns, step.end_ns, ref(step), step.agent), item)
    assert len(state.streams) <= 32
    assert len(state.spending.unpriced_models) <= 8
