"""Settings of the LLM judge, as they stand under `processors::llm_judge`."""

from __future__ import annotations

import os
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Usd = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class JudgeBudgets(BaseModel):
    """The most that judging may cost, in USD; hours and days are UTC's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_usd: Usd = 0.10
    tenant_hour_usd: Usd = 5
    tenant_day_usd: Usd = 50


class JudgeConfig(BaseModel):
    """Asks an LLM about findings that stay grey, within hard budgets; off without a key.

    `models`: smallest first; a larger one is asked only while the answer is unsure. `effort` is left out where empty:
    models before the fifth generation do not know it. `max_wait_seconds`: how long a finding waits for its verdict
    while the API is not to be reached. `batch`: findings below high severity are handed in as batches, which cost
    half and take up to a day.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    api_key: SecretStr = SecretStr("")
    base_url: str = ""
    models: Annotated[list[str], Field(min_length=1, max_length=5)] = [
        "claude-haiku-5-5",
        "claude-sonnet-5-5",
        "claude-opus-5-5",
    ]
    effort: str = "low"
    budgets: JudgeBudgets = JudgeBudgets()
    window_tokens: Annotated[int, Field(ge=200, le=100_000)] = 4_000
    max_output_tokens: Annotated[int, Field(ge=200, le=32_000)] = 1_500
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    timeout_seconds: Seconds = 30
    max_wait_seconds: Seconds = 300
    batch: bool = False
    batch_poll_seconds: Seconds = 60
    max_cases: Annotated[int, Field(ge=1, le=100_000)] = 1_000

    def key(self) -> str:
        """Give the API key: the configured one, else ANTHROPIC_API_KEY; empty where there is none."""
        return self.api_key.get_secret_value() or os.environ.get("ANTHROPIC_API_KEY", "")
