"""Bills: what is written for a step, for its revisions, and when it is taken back."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_runs import Scribe

from processors.spending.model_catalogue import PricedModels
from processors.spending.usage import Biller
from schemas.step import Step, Usage
from schemas.usage import UnknownUsageSchema, UsageRecord, decode_usage, encode_usage

BILLER = Biller(PricedModels())


def call(**fields: object) -> Step:
    return msgspec.structs.replace(Scribe().llm(1_000, provider="openai"), **fields)


def bill(*versions: Step) -> list[UsageRecord]:
    written: list[UsageRecord] = []
    before = b""
    for step in versions:
        before, outputs = BILLER(step, before)
        written += [decode_usage(output.value) for output in outputs]
    return written


def total(records: Sequence[UsageRecord]) -> tuple[int, int, float]:
    usd = sum(record.cost_usd or 0.0 for record in records)
    return sum(record.input for record in records), sum(record.output for record in records), round(usd, 9)


def test_a_call_is_billed_by_the_price_list() -> None:
    (record,) = bill(call())
    assert (record.input, record.output, record.model, record.agent) == (1_000, 100, "gpt-4o", "writer")
    assert record.cost_usd == pytest.approx(0.0035)
    assert record.sign_seq == 1


def test_the_agents_own_figure_wins() -> None:
    (record,) = bill(call(cost_usd=0.5))
    assert record.cost_usd == 0.5


def test_a_step_without_usage_or_cost_writes_nothing() -> None:
    assert bill(Scribe().tool()) == []
    assert bill(call(usage=None)) == []


@pytest.mark.parametrize("usage", [Usage(2**53 - 1, 5), Usage(-5, 3), Usage(10, 2**62)])
def test_counts_that_no_call_can_have_are_not_billed(usage: Usage) -> None:
    assert bill(call(usage=usage)) == []


@pytest.mark.parametrize("cost", [float("nan"), float("inf"), -1.0, 1e12])
def test_an_unbelievable_own_figure_gives_way_to_the_price_list(cost: float) -> None:
    (record,) = bill(call(cost_usd=cost))
    assert record.cost_usd == pytest.approx(0.0035)


def test_a_revision_that_changes_nothing_billed_writes_nothing() -> None:
    assert len(bill(call(), call(revision=1, output_text="late content"))) == 1


def test_a_late_agent_name_moves_the_cost_to_the_agent() -> None:
    records = bill(call(agent=""), call(agent="writer", revision=2))
    assert [(record.agent, record.input, record.sign_seq) for record in records] == [
        ("", 1_000, 1),
        ("", -1_000, 4),
        ("writer", 1_000, 5),
    ]


def test_a_retracted_step_costs_nothing_in_the_end() -> None:
    assert total(bill(call(), call(revision=1, retracted=True))) == (0, 0, 0.0)


def test_a_retracted_step_that_was_never_billed_writes_nothing() -> None:
    assert bill(call(retracted=True)) == []


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["", "a", "b"]), st.booleans()), min_size=1, max_size=8))
def test_the_sum_is_always_what_the_latest_revision_says(history: list[tuple[int, str, bool]]) -> None:
    versions = [
        call(usage=Usage(size * 100, size), agent=agent, retracted=retracted, revision=revision)
        for revision, (size, agent, retracted) in enumerate(history)
    ]
    records = bill(*versions)
    last = versions[-1]
    expected = 0 if last.retracted or last.usage is None else last.usage.input
    assert total(records)[0] == expected
    assert len({record.sign_seq for record in records}) == len(records)


def test_a_record_of_another_version_is_refused() -> None:
    (record,) = bill(call())
    with pytest.raises(UnknownUsageSchema):
        decode_usage(encode_usage(msgspec.structs.replace(record, v=9)))
