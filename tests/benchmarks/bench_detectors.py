"""All T1 and T2 detectors through the runtime: steps per CPU-second by run length, bytes written and kept."""

from __future__ import annotations

import time
from collections.abc import Sequence

from msgspec.structs import replace

from collector.bus.protocol import Batch, Record
from collector.components import detector_class
from processors.detector import AnyDetector
from processors.runtime import Runtime
from processors.spending.model_catalogue import PricedModels
from schemas.step import LLM, Step
from schemas.steps_codec import encode_steps
from schemas.topics import AGENT_STEPS

from . import Figure
from .bench_loop import SECOND, _step
from .committed_state import CommittedState

NAMES = ("loop", "state_delta", "cost", "overflow", "tool_error", "retry_storm")
LENGTHS = (400, 6_400, 100_000)
BATCH = 500
START_NS = 1_800_000_000 * SECOND


def run() -> list[Figure]:
    """Measure every length on one run whose texts are new at each step, so that what is remembered of texts is cold."""
    steps = [_priced(_step(number)) for number in range(BATCH + sum(LENGTHS))]
    _measured(steps[:BATCH])  # reads the price list
    steps = steps[BATCH:]
    figures: list[Figure] = []
    for length in LENGTHS:
        figures += _measured(steps[:length])
        steps = steps[length:]
    return figures


def detectors() -> Sequence[AnyDetector]:
    """Make all of them with their defaults."""
    classes = [detector_class(name) for name in NAMES]
    return [made(made.Config(), PricedModels()) for made in classes]


def _priced(step: Step) -> Step:
    return replace(step, model="gpt-4o", provider="openai") if step.kind == LLM else step


def _measured(steps: Sequence[Step]) -> list[Figure]:
    values = [encode_steps(steps[at : at + BATCH]) for at in range(0, len(steps), BATCH)]
    state, written = CommittedState(), 0
    runtime = Runtime("detectors", detectors(), time.time_ns)
    runtime.restore(state)
    began = time.process_time()
    for number, value in enumerate(values):
        now_ns = START_NS + number * SECOND // 10
        handled = runtime.handle(Batch([Record(AGENT_STEPS, 0, number, "", value, {}, now_ns)], now_ns), state)
        state.apply(handled.changes)
        written += sum(len(change.value or b"") for change in handled.changes)
    seconds = time.process_time() - began
    what = f"all detectors, run of {len(steps):,}"
    return [
        (what, len(steps) / seconds, "steps/CPU-s"),
        (f"{what}: written to the bus", written / len(steps), "bytes/step"),
        (f"{what}: kept without its window", float(state.bytes_of("runs")), "bytes"),
        (f"{what}: kept, its window", float(state.bytes_of("windows")), "bytes"),
    ]
