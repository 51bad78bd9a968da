"""Cost, overflow, tool_error and retry_storm: microseconds a step, state bytes, and what pricing a call takes."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec.structs import replace

from processors.cost import CostConfig, CostDetector
from processors.detector import AnyDetector
from processors.overflow import OverflowConfig, OverflowDetector
from processors.retry_storm import RetryStormConfig, RetryStormDetector
from processors.spending.budgets import Budgets
from processors.spending.model_catalogue import PricedModels
from processors.spending.usage import Biller
from processors.tool_error import ToolErrorConfig, ToolErrorDetector
from schemas.step import LLM, TOOL, Step, Usage

from . import Figure
from .folding import LENGTHS, folded

SECOND = 1_000_000_000
TRACE = "0af7651916cd43dd8448eb211c80319c"


def run() -> list[Figure]:
    """Measure each detector at every length, then pricing and billing."""
    models = PricedModels()
    models.context_window("gpt-4o", "openai")  # loads the price list
    subjects: list[AnyDetector] = [
        CostDetector(CostConfig(budgets=Budgets(run_usd=1e9)), models),
        OverflowDetector(OverflowConfig(), models),
        ToolErrorDetector(ToolErrorConfig(), models),
        RetryStormDetector(RetryStormConfig(), models),
    ]
    steps = [_step(number) for number in range(max(LENGTHS))]
    figures = [figure for subject in subjects for length in LENGTHS for figure in folded(subject, steps[:length])]
    bill = Biller(models)
    call, usage = steps[0], Usage(1_000, 100)
    figures.append(("price a call", _micros(lambda: models.cost_usd("gpt-4o", "openai", usage, 0)), "µs"))
    figures.append(("bill a call", _micros(lambda: bill(call, b"")), "µs"))
    return figures


def _step(number: int) -> Step:
    """Alternate a model call with a growing, trimmed context and a tool that fails now and then."""
    start = 1_790_000_000 * SECOND + number * SECOND
    step = Step(
        tenant="default",
        run_id=TRACE,
        trace_id=TRACE,
        span_id=f"{number:016x}",
        kind=TOOL if number % 2 else LLM,
        start_ns=start,
        end_ns=start + SECOND // 2,
        agent=f"agent-{number % 3}",
    )
    if number % 2:
        error = "HTTP 503 Service Unavailable" if number % 50 == 1 else ""
        return replace(step, tool=f"tool-{number % 7}", args_hash=f"{number:x}", result_size=900, error=error)
    usage = Usage(2_000 + number % 400 * 300, 150)
    return replace(step, model="gpt-4o", provider="openai", usage=usage)


def _micros(action: Callable[[], object], times: int = 20_000) -> float:
    action()
    began = time.perf_counter()
    for _ in range(times):
        action()
    return (time.perf_counter() - began) / times * 1e6
