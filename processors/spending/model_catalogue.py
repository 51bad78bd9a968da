"""What is known about models: prices and context windows, from the configuration first, then from genai-prices."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from processors.spending.model_names import MODEL_NAME_CAP, Reference, bare_names, references
from processors.spending.unit_prices import MILLION, PriceList, Rate, UnitPrices, always, prices_of
from schemas.metrics import UNKNOWN_MODELS
from schemas.step import Usage

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider

REMEMBERED_MODELS = 4_096
"""Names whose answer is kept; spans can name as many models as they like."""
NAMED_UNKNOWN_MODELS = 100
"""Unknown models that get a metric label of their own; the rest share one."""

WINDOWS = {
    "command-a": 256_000,
    "command-r": 128_000,
    "command-r-plus": 128_000,
    "command-r7b": 128_000,
    "gemini-3-pro-preview": 1_048_576,
    "llama-3.1-8b-instant": 131_072,
    "llama-3.3-70b-versatile": 131_072,
    "ministral-3b": 131_072,
    "ministral-8b": 131_072,
    "mistral-medium-latest": 131_072,
    "mistral-small-latest": 131_072,
}
"""Windows that the price list lacks, from the vendors' model pages (Cohere, Google, Groq, Mistral)."""

ROUNDED_WINDOWS = {"gemini-": (1_000_000, 1_048_576), "gpt-4.1": (1_000_000, 1_047_576)}
"""Windows that the price list rounds, by the beginning of the name, and what Google and OpenAI document."""
LONG_CONTEXT = ("[1m]", 1_000_000)
"""How Claude Code names a model it runs with the long window."""


class ModelOverride(Protocol):
    """What a configuration may say about a model under `models::NAME`; prices in USD per million tokens."""

    @property
    def input_usd_per_mtok(self) -> float | None:
        """Price of input."""

    @property
    def output_usd_per_mtok(self) -> float | None:
        """Price of output."""

    @property
    def cache_read_usd_per_mtok(self) -> float | None:
        """Price of input read from a cache; as input where not given."""

    @property
    def context_window(self) -> int | None:
        """Tokens the model takes."""


class Known(NamedTuple):
    """All that is known about one model."""

    prices: PriceList | None = None
    window: int | None = None


class PricedModels:
    """The catalogue (`processors.detector.ModelCatalogue`); may be shared by threads."""

    def __init__(self, overrides: Mapping[str, ModelOverride] | None = None) -> None:
        self._overrides = {name.strip().lower(): override for name, override in (overrides or {}).items()}
        self._known: dict[tuple[str, str], Known] = {}
        self._counted: set[str] = set()
        self._windows: dict[str, int] | None = None
        self._lock = threading.Lock()

    def cost_usd(self, model: str, provider: str, usage: Usage, at_ns: int) -> float | None:
        """Price one call; None for a model nobody has a price for, which is counted the first time."""
        prices = self._look_up(model, provider).prices
        if prices is None:
            self._count_unknown(model)
            return None
        return prices.at(at_ns).cost_usd(usage)

    def context_window(self, model: str, provider: str) -> int | None:
        """Tokens the model takes; None where unknown."""
        return self._look_up(model, provider).window

    def _look_up(self, model: str, provider: str) -> Known:
        key = (model, provider)
        known = self._known.get(key)
        if known is not None:
            return known
        with self._lock:
            if len(self._known) >= REMEMBERED_MODELS:
                self._known = {}
            known = self._known[key] = self._find(model, provider)
        return known

    def _find(self, model: str, provider: str) -> Known:
        names = bare_names(model)
        if not names:
            return Known()
        override = next((self._overrides[name] for name in names if name in self._overrides), None)
        listed = self._listed(model, provider, names)
        return listed if override is None else _overridden(listed, override)

    def _listed(self, model: str, provider: str, names: tuple[str, ...]) -> Known:
        found = next(filter(None, map(_in_price_list, references(model, provider))), None)
        return Known(prices_of(found) if found else None, self._window_of(found, names))

    def _window_of(self, found: ModelInfo | None, names: tuple[str, ...]) -> int | None:
        """Take the window from the model, else from where another provider says it, or the table."""
        if names[0].endswith(LONG_CONTEXT[0]):
            return LONG_CONTEXT[1]
        if found is not None and found.context_window:
            return _unrounded(found)
        if self._windows is None:
            self._windows = _windows_by_name()
        return next((self._windows[name] for name in names if name in self._windows), None)

    def _count_unknown(self, model: str) -> None:
        name = model[:MODEL_NAME_CAP] or "(none)"
        if name in self._counted or len(self._counted) > REMEMBERED_MODELS:
            return
        with self._lock:
            self._counted.add(name)
        label = name if len(self._counted) <= NAMED_UNKNOWN_MODELS else "(others)"
        UNKNOWN_MODELS.labels(model=label).inc()


def _in_price_list(reference: Reference) -> ModelInfo | None:
    # Not `find_provider_model`: it remembers every name it is asked for, forever.
    from genai_prices.data_snapshot import find_provider_by_id, get_snapshot

    providers = get_snapshot().providers
    if reference.provider is not None:
        provider = find_provider_by_id(providers, reference.provider)
    else:
        provider = next((provider for provider in providers if _serves(provider, reference.name)), None)
    return provider.find_model(reference.name, all_providers=providers) if provider else None


def _serves(provider: Provider, name: str) -> bool:
    return provider.model_match is not None and provider.model_match.is_match(name)


def _unrounded(model: ModelInfo) -> int | None:
    for beginning, (rounded, documented) in ROUNDED_WINDOWS.items():
        if model.id.startswith(beginning) and model.context_window == rounded:
            return documented
    return model.context_window


def _windows_by_name() -> dict[str, int]:
    """Gather the windows that any provider states, by the model's name without the provider's path."""
    from genai_prices.data_snapshot import get_snapshot

    found: dict[str, int] = {}
    for provider in get_snapshot().providers:
        for model in provider.models:
            if model.context_window:
                found.setdefault(model.id.rsplit("/", 1)[-1].lower(), model.context_window)
    return {**found, **WINDOWS}


def _overridden(listed: Known, override: ModelOverride) -> Known:
    given = {
        "input": override.input_usd_per_mtok,
        "output": override.output_usd_per_mtok,
        "cache_read": override.cache_read_usd_per_mtok,
    }
    rates = {name: Rate(price / MILLION) for name, price in given.items() if price is not None}
    window = override.context_window or listed.window
    if not rates:
        return Known(listed.prices, window)
    dated = listed.prices.dated if listed.prices else [(always, UnitPrices())]
    return Known(PriceList([(active, prices._replace(**rates)) for active, prices in dated]), window)
