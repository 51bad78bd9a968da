"""What a call can cost at most, and what it did cost, in micro-USD, rounded up."""

from __future__ import annotations

from math import ceil
from typing import Any

import msgspec
import orjson

from processors.detector import ModelCatalogue
from schemas.judge import MICRO
from schemas.step import Usage

PROVIDER = "anthropic"
BATCH_SHARE = 0.5
UNSEEN_TOKENS = 1_500
"""What the API adds to a request with a tool, several times over."""
COUNTED_MARGIN = 1.5
"""How many times what another model counted a model may count in the same text; the vendor tells of a third more."""


class UnpricedModelError(ValueError):
    """A model has no known price, so nothing can be set aside for it; says what to do."""

    def __init__(self, model: str) -> None:
        super().__init__(
            f"no price is known for the judge's model {model!r}: set models::{model}::input_usd_per_mtok and "
            f"output_usd_per_mtok, or name another one under processors::llm_judge::models"
        )


class JudgePrices:
    """Prices of the judge's models; raises UnpricedModelError for one that has none."""

    def __init__(self, catalogue: ModelCatalogue) -> None:
        self._catalogue = catalogue

    def at_most(self, request: dict[str, Any], counted_tokens: int, at_ns: int) -> int:
        """Bound the cost of a request. No token is shorter than a byte, so its bytes bound its tokens.

        `counted_tokens`: what another model counted in the same text, 0 where none did; it makes the bound closer.
        """
        tokens = len(orjson.dumps(request))
        if counted_tokens:
            tokens = min(tokens, ceil(COUNTED_MARGIN * counted_tokens))
        tokens += UNSEEN_TOKENS
        most = request["max_tokens"]
        plain = Usage(input=tokens, output=most)
        written = msgspec.structs.replace(plain, cache_write=tokens)
        return max(self.cost(request["model"], usage, at_ns) for usage in (plain, written))

    def cost(self, model: str, usage: Usage, at_ns: int, *, batched: bool = False) -> int:
        """Price a call; in a batch it costs half."""
        usd = self._catalogue.cost_usd(model, PROVIDER, usage, at_ns)
        if usd is None:
            raise UnpricedModelError(model)
        return ceil(round(usd * MICRO * (BATCH_SHARE if batched else 1.0), 6))
