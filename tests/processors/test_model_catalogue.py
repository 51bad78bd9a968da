"""Prices and windows of models, whatever a gateway, a region or a date makes of their names."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from genai_prices import types
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from processors.spending import model_catalogue
from processors.spending.model_catalogue import PricedModels
from processors.spending.model_names import bare_names, references
from processors.spending.unit_prices import prices_of
from schemas.step import Usage

AT_NS = 1_790_000_000_000_000_000
MILLION_EACH = Usage(1_000_000, 1_000_000)


def override(**given: float | None) -> SimpleNamespace:
    names = ("input_usd_per_mtok", "output_usd_per_mtok", "cache_read_usd_per_mtok", "context_window")
    return SimpleNamespace(**{name: given.get(name) for name in names})


@pytest.mark.parametrize("at", [datetime(2024, 6, 1, 3, tzinfo=UTC), datetime(2026, 11, 20, 17, tzinfo=UTC)])
@pytest.mark.parametrize(
    "usage",
    [
        Usage(1_234, 567),
        Usage(200_001, 8_000, cache_read=150_000, cache_write=20_000, reasoning=1_000),
        Usage(1_100_000, 1, cache_read=1_000_000),
        Usage(0, 0),
    ],
)
def test_every_model_costs_what_genai_prices_says(at: datetime, usage: Usage) -> None:
    theirs = types.Usage(
        input_tokens=usage.input,
        output_tokens=usage.output,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write,
        output_reasoning_tokens=usage.reasoning,
    )
    at_ns = int(at.timestamp()) * 1_000_000_000
    checked = 0
    for provider in get_snapshot().providers:
        for model in provider.models:
            prices = prices_of(model)
            if prices is None:
                continue
            expected = model.calc_price(theirs, provider, genai_request_timestamp=at).total_price
            assert prices.at(at_ns).cost_usd(usage) == pytest.approx(float(expected), rel=1e-9, abs=1e-15), model.id
            checked += 1
    assert checked > 2_000


@pytest.mark.parametrize(
    ("model", "provider", "usd", "window"),
    [
        ("gpt-4o-2024-08-06", "", 12.5, 128_000),
        ("GPT-4o", "langchain", 12.5, 128_000),
        ("openai/gpt-4o", "", 12.5, 128_000),
        ("azure/gpt-4o", "", 12.5, 128_000),
        ("models/gemini-2.0-flash", "", 0.5, 1_048_576),
        ("projects/p/locations/l/publishers/google/models/gemini-2.0-flash", "gcp.vertex_ai", 0.5, 1_048_576),
        ("us.anthropic.claude-3-5-sonnet-20241022-v2:0", "", 18.0, 200_000),
        ("us.anthropic.claude-3-5-sonnet-20241022-v2:0", "aws.bedrock", 18.0, 200_000),
        ("claude-3-5-sonnet-20241022", "openai", 18.0, 200_000),
        ("ft:gpt-4o-2024-08-06:acme::abc", "", 18.75, 128_000),
        ("gemini-2.5-pro", "gcp.gemini", 17.5, 1_048_576),
        ("claude-sonnet-4-5-20250929[1m]", "anthropic", 28.5, 1_000_000),
    ],
)
def test_names_as_they_come_in_spans_are_recognised(model: str, provider: str, usd: float, window: int) -> None:
    catalogue = PricedModels()
    assert catalogue.cost_usd(model, provider, MILLION_EACH, AT_NS) == pytest.approx(usd)
    assert catalogue.context_window(model, provider) == window


def test_the_configuration_wins_and_keeps_what_it_does_not_say() -> None:
    catalogue = PricedModels(
        {
            "House-LLM": override(input_usd_per_mtok=1.0, output_usd_per_mtok=2.0, context_window=32_000),
            "gpt-4o": override(cache_read_usd_per_mtok=0.1),
            "gpt-4o-mini": override(context_window=64_000),
        }
    )
    assert catalogue.cost_usd("house-llm", "", MILLION_EACH, AT_NS) == pytest.approx(3.0)
    assert catalogue.cost_usd("proxy/House-LLM", "", Usage(1_000_000, 0, cache_read=1_000_000), AT_NS) == 1.0
    assert catalogue.context_window("House-LLM", "") == 32_000
    cached = Usage(1_000_000, 1_000_000, cache_read=1_000_000)
    assert catalogue.cost_usd("gpt-4o", "openai", cached, AT_NS) == pytest.approx(10.1)
    assert catalogue.context_window("gpt-4o", "") == 128_000
    assert catalogue.cost_usd("gpt-4o-mini", "", MILLION_EACH, AT_NS) == pytest.approx(0.75)
    assert catalogue.context_window("gpt-4o-mini", "") == 64_000


def test_an_unknown_model_is_counted_once_and_costs_nothing_known() -> None:
    catalogue = PricedModels()
    before = _unknown("no-such-model-7")
    for _ in range(3):
        assert catalogue.cost_usd("no-such-model-7", "openai", MILLION_EACH, AT_NS) is None
    assert _unknown("no-such-model-7") - before == 1
    assert catalogue.context_window("no-such-model-7", "openai") is None


def test_names_without_end_neither_grow_the_catalogue_nor_the_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_catalogue, "REMEMBERED_MODELS", 50)
    monkeypatch.setattr(model_catalogue, "NAMED_UNKNOWN_MODELS", 5)
    catalogue = PricedModels()
    for number in range(200):
        catalogue.cost_usd(f"gpt-4o-2024-{number}" if number % 2 else f"flood-{number}", "", MILLION_EACH, AT_NS)
    assert len(catalogue._known) <= 50
    assert _unknown("flood-198") == 0
    assert _unknown("(others)") > 0


@given(st.text(max_size=400), st.text(max_size=80))
@settings(max_examples=150, deadline=None)
def test_no_name_breaks_the_lookup(model: str, provider: str) -> None:
    assert len(bare_names(model)) <= 9
    assert len(list(references(model, provider))) <= 30
    price = PricedModels().cost_usd(model, provider, MILLION_EACH, AT_NS)
    assert price is None or price >= 0


def test_the_price_list_is_not_loaded_before_a_model_is_asked_for() -> None:
    made = "from processors.spending.model_catalogue import PricedModels; PricedModels()"
    code = f"import sys; {made}; sys.exit('genai_prices' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _unknown(model: str) -> float:
    return REGISTRY.get_sample_value("tracemend_unknown_models", {"model": model}) or 0.0
