"""Whether the LLM judge runs, why it does not, and how its two stages are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from config.problems import Path
from config.settings import Settings
from processors.judge_config import JudgeConfig

if TYPE_CHECKING:
    from collector.stage_threads import MakeStage
    from processors.model_catalogue import PricedModels

JUDGE = "llm_judge"
PACKAGES = ("anthropic", "re2")
NO_KEY = (
    "the LLM judge is off: findings that stay grey are told as they are, as POSSIBLE. "
    "To have them judged set ANTHROPIC_API_KEY or processors::llm_judge::api_key"
)
NO_PACKAGES = "the LLM judge is off, though there is a key for it: pip install 'tracemend[judge]'"


def why_off(settings: Settings) -> str:
    """Say why grey findings are not judged and what to do; empty where they are, or where nobody wants them to be."""
    config = settings.processors.get(JUDGE)
    if config is None or not config.enabled:
        return ""
    if not config.key():
        return NO_KEY
    return "" if _can_run() else NO_PACKAGES


def unpriced_models(settings: Settings) -> Iterator[tuple[Path, str]]:
    """Find models of the judge that have no price: without one no budget can hold."""
    config = settings.processors.get(JUDGE)
    if config is None or not config.enabled or not config.key():
        return
    from processors.judge_prices import JudgePrices, UnpricedModelError
    from processors.model_catalogue import PricedModels
    from schemas.step import Usage

    prices = JudgePrices(PricedModels(settings.models))
    for place, model in enumerate(config.models):
        try:
            prices.cost(model, Usage(input=1, output=1), 0)
        except UnpricedModelError as error:
            yield ("processors", JUDGE, "models", str(place)), str(error)


def judge_stages(
    config: JudgeConfig, models: PricedModels, clock_ns: Callable[[], int], memory_bytes: int, tasks: int
) -> Iterator[tuple[str, MakeStage]]:
    """Give what makes the judge and the owner of its money; `memory_bytes` are for all of the judge's tasks."""
    if not config.key() or not _can_run():
        return
    from processors.judge_budget import JudgeBudgetStage
    from processors.judge_calls import MessagesApi
    from processors.judge_prices import JudgePrices
    from processors.llm_judge import LlmJudgeStage

    shared = config.model_copy(update={"concurrency": max(1, config.concurrency // tasks)})
    api, prices = MessagesApi(config), JudgePrices(models)
    yield LlmJudgeStage.group, partial(LlmJudgeStage, shared, prices, api, clock_ns, memory_bytes // tasks)
    yield JudgeBudgetStage.group, partial(JudgeBudgetStage, config.budgets)


def _can_run() -> bool:
    return all(find_spec(package) is not None for package in PACKAGES)
