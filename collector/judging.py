"""Whether the LLM judge runs, why it does not, and how its two stages are made."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from collector.bus.protocol import Bus, BusUnavailable, Record
from config.problems import Path
from config.settings import Settings
from processors.judging.bookmarks import Stretch
from processors.judging.config import JudgeConfig
from processors.judging.reading import TAKEN
from schemas.topics import AGENT_STEPS

if TYPE_CHECKING:
    from collector.stage_threads import MakeStage
    from processors.spending.model_catalogue import PricedModels

JUDGE = "llm_judge"
READ_BACK_SECONDS, SILENCE_SECONDS = 10.0, 2.0
"""How long steps are read again at a start, and how long is waited for any."""
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
    from processors.judging.prices import JudgePrices, UnpricedModelError
    from processors.spending.model_catalogue import PricedModels
    from schemas.step import Usage

    prices = JudgePrices(PricedModels(settings.models))
    for place, model in enumerate(config.models):
        try:
            prices.cost(model, Usage(input=1, output=1), 0)
        except UnpricedModelError as error:
            yield ("processors", JUDGE, "models", str(place)), str(error)


def judge_stages(
    config: JudgeConfig,
    models: PricedModels,
    bus: Bus,
    memory_bytes: int,
    tasks: int,
    taken: Collection[bytes] = TAKEN,
) -> Iterator[tuple[str, MakeStage]]:
    """Give what makes the judge and the owner of its money; `memory_bytes` are for all of the judge's tasks.

    `taken`: the `next_tier` of the escalations that it takes.
    """
    if not config.key() or not _can_run():
        return
    from processors.judging.budget import JudgeBudgetStage
    from processors.judging.calls import MessagesApi
    from processors.judging.prices import JudgePrices
    from processors.llm_judge import LlmJudgeStage

    shared = config.model_copy(update={"concurrency": max(1, config.concurrency // tasks)})
    api, prices = MessagesApi(config), JudgePrices(models)
    read = partial(read_back, bus)
    make = partial(LlmJudgeStage, shared, prices, api, bus.now_ns, memory_bytes // tasks, read, taken)
    yield LlmJudgeStage.group, make
    yield JudgeBudgetStage.group, partial(JudgeBudgetStage, config.budgets)


def read_back(bus: Bus, stretch: Stretch) -> Iterator[Record]:
    """Read steps again that were read before; what has left the log since, or cannot be read now, is left out."""
    with suppress(BusUnavailable), closing(bus.reader([AGENT_STEPS])) as reader:
        reader.seek(AGENT_STEPS, stretch.partition, stretch.first)
        at, deadline = stretch.first, time.monotonic() + READ_BACK_SECONDS
        while at < stretch.until and time.monotonic() < deadline:
            batch = reader.poll(timeout_seconds=SILENCE_SECONDS)
            if not batch.records:
                return
            for record in batch.records:
                if record.partition == stretch.partition and at <= record.offset < stretch.until:
                    yield record
                    at = record.offset + 1


def _can_run() -> bool:
    return all(find_spec(package) is not None for package in PACKAGES)
