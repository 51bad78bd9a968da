"""Unit prices of a model, taken from genai-prices once, and the price of one call by them.

`calc_price` costs 100 µs a call, these figures half a microsecond; a test holds the two equal over the whole list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, NamedTuple

from schemas.step import Usage

if TYPE_CHECKING:
    from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice

MILLION = 1_000_000
THOUSAND = 1_000
SECOND_NS = 1_000_000_000
DAY_SECONDS = 86_400


class Rate(NamedTuple):
    """USD per token. Beyond a tier's start (input tokens of the whole call) all tokens cost that tier's price."""

    base: float
    tiers: tuple[tuple[int, float], ...] = ()

    def at(self, input_tokens: int) -> float:
        """Pick the price for a call of this many input tokens."""
        if not self.tiers:
            return self.base
        return next((price for start, price in reversed(self.tiers) if input_tokens > start), self.base)


class UnitPrices(NamedTuple):
    """What a model's tokens cost. None: not priced by itself, so billed as what contains it."""

    input: Rate | None = None
    output: Rate | None = None
    cache_read: Rate | None = None
    cache_write: Rate | None = None
    reasoning: Rate | None = None
    request: Rate | None = None

    def cost_usd(self, usage: Usage) -> float:
        """Price a call; subsets larger than their whole (a client's mistake) leave nothing of it."""
        whole = max(0, usage.input)
        read = usage.cache_read if self.cache_read else 0
        written = usage.cache_write if self.cache_write else 0
        thought = usage.reasoning if self.reasoning else 0
        return (
            _priced(self.input, whole - read - written, whole)
            + _priced(self.cache_read, read, whole)
            + _priced(self.cache_write, written, whole)
            + _priced(self.output, usage.output - thought, whole)
            + _priced(self.reasoning, thought, whole)
            + _priced(self.request, 1, whole)
        )


Active = Callable[[int], bool]
"""Whether a price holds at a time (Unix ns)."""


class PriceList(NamedTuple):
    """A model's prices over time: the last one that is active holds, else the first."""

    dated: Sequence[tuple[Active, UnitPrices]]

    def at(self, at_ns: int) -> UnitPrices:
        """Pick the prices that held at a time."""
        for active, prices in reversed(self.dated):
            if active(at_ns):
                return prices
        return self.dated[0][1]


def prices_of(model: ModelInfo) -> PriceList | None:
    """Take a model's prices from the list; None where none of them is for tokens."""
    dated: list[tuple[Active, UnitPrices]]
    if isinstance(model.prices, list):
        dated = [(_active(price), _unit_prices(price.prices)) for price in model.prices]
    else:
        dated = [(always, _unit_prices(model.prices))]
    priced = [pair for pair in dated if pair[1].input or pair[1].output]
    return PriceList(dated) if priced else None


def _priced(rate: Rate | None, tokens: int, whole: int) -> float:
    return rate.at(whole) * tokens if rate and tokens > 0 else 0.0


def _unit_prices(price: ModelPrice) -> UnitPrices:
    return UnitPrices(
        input=_rate(price, "input_mtok", MILLION),
        output=_rate(price, "output_mtok", MILLION),
        cache_read=_rate(price, "cache_read_mtok", MILLION),
        cache_write=_rate(price, "cache_write_mtok", MILLION),
        reasoning=_rate(price, "output_reasoning_mtok", MILLION),
        request=_rate(price, "requests_kcount", THOUSAND),
    )


def _rate(price: ModelPrice, key: str, per: int) -> Rate | None:
    from genai_prices.types import TieredPrices

    value = getattr(price, key)
    if value is None:
        return None
    if isinstance(value, TieredPrices):
        return Rate(float(value.base / per), tuple((tier.start, float(tier.price / per)) for tier in value.tiers))
    return Rate(float(value / per))


def always(_at_ns: int) -> bool:
    """Hold at any time."""
    return True


def _active(price: ConditionalPrice) -> Active:
    from genai_prices.types import StartDateConstraint

    constraint = price.constraint
    if constraint is None:
        return always
    if isinstance(constraint, StartDateConstraint):
        begins_ns = _midnight_ns(constraint.start_date)
        return lambda at_ns: at_ns >= begins_ns
    start, end = _second_of_day(constraint.start_time), _second_of_day(constraint.end_time)
    return lambda at_ns: _within(at_ns, start, end)


def _within(at_ns: int, start: float, end: float) -> bool:
    """Say whether a time lies in a daily interval, which may pass midnight."""
    now = (at_ns / SECOND_NS) % DAY_SECONDS
    return start <= now < end if start <= end else now >= start or now < end


def _midnight_ns(day: date) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp()) * SECOND_NS


def _second_of_day(moment: time) -> float:
    """Give a time of day in UTC; one without a zone is UTC already."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return datetime.combine(date(1970, 1, 2), aware).timestamp() % DAY_SECONDS
