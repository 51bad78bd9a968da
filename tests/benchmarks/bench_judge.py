"""The LLM judge: what reading along costs, what a case costs, and what it adds to an API that answers at once."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from collector.bus.embedded import EmbeddedBus
from collector.bus.protocol import Batch, Outgoing, Record
from collector.judging import read_back
from collector.stages import StageThread
from processors.judging.budget import JudgeBudgetStage
from processors.judging.calls import ANSWERED, MessagesApi, Outcome
from processors.judging.config import JudgeConfig
from processors.judging.exhibit import exhibit_of
from processors.judging.masking import Masking
from processors.judging.prices import JudgePrices
from processors.judging.prompts import request_of
from processors.judging.rulings import SOURCE
from processors.llm_judge import LlmJudgeStage
from processors.runs.publishing import Subject, document_of, escalation_outgoing
from processors.spending.model_catalogue import PricedModels
from schemas.detection import OPEN, Finding
from schemas.step import TOOL, SpanRef, Step, Usage
from schemas.steps_codec import encode_steps
from schemas.topics import AGENT_STEPS, DETECTIONS

from . import Figure
from .committed_state import CommittedState

STEPS, A_BATCH, RUNS, CASES = 100_000, 500, 400, 40
TEXT = "The search for flights to Lisbon on 2026-11-20 found nothing; order 4711 of user 8150 stays open. "
MIB = 1 << 20


class InstantApi(MessagesApi):
    """Answers at once and surely, quoting the first piece."""

    def __init__(self) -> None:
        """Need no key and no connection."""

    def call(self, request: dict[str, Any]) -> Outcome:
        """Give a verdict that counts."""
        quotes = [{"id": "s1", "quote": "kind: tool"}]
        given = {"answer": "no", "confidence": 0.9, "evidence": quotes, "reason": "So it is."}
        block = {"type": "tool_use", "name": "record_verdict", "input": given}
        return Outcome(ANSWERED, Usage(2_000, 100), "tool_use", [block])


def run() -> list[Figure]:
    """Measure all of it."""
    return [
        ("judge, steps of 1 kB read along", _read_along(), "steps/CPU-s"),
        ("judge, masking of prose", _masking(), "MB/CPU-s"),
        ("judge, exhibit and request of a run of 60 steps", _exhibit(), "ms CPU"),
        ("judge, from escalation to verdict, API at once, median", _latency(), "ms"),
    ]


def _steps(run: str, count: int) -> list[Step]:
    return [
        Step("t", run, run, f"{n:016x}", TOOL, n * 10**9, n * 10**9 + 5, tool="find", result=TEXT * 10)
        for n in range(1, count + 1)
    ]


def _read_along() -> float:
    values = [encode_steps(_steps(f"{number:032x}", 1)) for number in range(RUNS)]
    prices = JudgePrices(PricedModels())
    stage = LlmJudgeStage(JudgeConfig(), prices, InstantApi(), time.time_ns, 32 * MIB, lambda _: ())
    state = CommittedState()
    stage.restore(state)
    records = [Record(AGENT_STEPS, 0, n, f"t/{n % RUNS:032x}", values[n % RUNS], {}, n) for n in range(STEPS)]
    began = time.process_time()
    for at in range(0, STEPS, A_BATCH):
        state.apply(stage.handle(Batch(records[at : at + A_BATCH], at), state).changes)
    return STEPS / (time.process_time() - began)


def _masking() -> float:
    text = (TEXT * 80)[:8_000]
    began = time.process_time()
    for _ in range(200):
        Masking()(text)
    return 200 * len(text) / 1e6 / (time.process_time() - began)


def _exhibit() -> float:
    run = "a" * 32
    steps = _steps(run, 60)
    document = document_of(_subject(run), _finding(run, steps), 1, 0, None)
    began = time.process_time()
    for _ in range(50):
        exhibit = exhibit_of(document, steps, 4_000)
        assert exhibit is not None
        orjson.dumps(request_of(exhibit, "claude-haiku-5-5", 2_000, "low"))
    return (time.process_time() - began) / 50 * 1e3


def _latency() -> float:
    with tempfile.TemporaryDirectory() as folder:
        bus = EmbeddedBus(Path(folder))
        threads = _started(bus)
        reader = bus.reader([DETECTIONS])
        found = [_one_verdict(bus, reader, f"{number:032x}") for number in range(CASES)]
        for thread in threads:
            thread.stop()
        for thread in threads:
            thread.join(10)
        reader.close()
        bus.close()
        return statistics.median(found) * 1e3


def _started(bus: EmbeddedBus) -> Sequence[StageThread]:
    config, prices = JudgeConfig(), JudgePrices(PricedModels())
    made = {
        "llm_judge": lambda: LlmJudgeStage(
            config, prices, InstantApi(), bus.now_ns, 32 * MIB, lambda stretch: read_back(bus, stretch)
        ),
        "judge_budget": lambda: JudgeBudgetStage(config.budgets),
    }
    threads = [StageThread(name, make, bus, print) for name, make in made.items()]  # type: ignore[arg-type]  # each makes a stage
    for thread in threads:
        thread.start()
    return threads


def _one_verdict(bus: EmbeddedBus, reader: Any, run: str) -> float:
    steps = _steps(run, 4)
    bus.publish([Outgoing(AGENT_STEPS, f"t/{run}", encode_steps(steps))]).result()
    began = time.perf_counter()
    bus.publish([escalation_outgoing(_subject(run), _finding(run, steps), 1, 0)]).result()
    while not any(one.headers["ce_source"] == SOURCE for one in reader.poll(timeout_seconds=1.0).records):
        pass
    return time.perf_counter() - began


def _subject(run: str) -> Subject:
    return Subject("t", run, "s", "a", "", "", "loop", "1")


def _finding(run: str, steps: Sequence[Step]) -> Finding:
    spans = tuple(SpanRef(run, step.span_id) for step in steps[:32])
    return Finding("loop", run, spans[0], spans, OPEN, 3, 0.5, "low", 30, "{agent} called find", run, {"calls": 4}, 1)
