"""The second look: what reading along costs, and how long a finding waits for a model that is warm."""

from __future__ import annotations

import statistics
import tempfile
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from collector.bus.embedded import EmbeddedBus
from collector.bus.protocol import Batch, Outgoing, Record
from collector.judging import read_back
from collector.looking import PACKAGE, PACKAGED_MODEL, model_folder
from collector.stages import StageThread
from processors.looking.encodings import Encodings
from processors.looking.model_process import ModelProcess, command_for
from processors.looking.verdicts import SOURCE
from processors.runs.publishing import Subject, escalation_outgoing
from processors.second_look import SecondLookStage
from schemas.detection import OPEN, Finding
from schemas.step import LLM, SpanRef, Step
from schemas.steps_codec import encode_steps
from schemas.topics import AGENT_STEPS, DETECTIONS

from . import Figure
from .committed_state import CommittedState

STEPS, A_BATCH, RUNS, FINDINGS = 100_000, 500, 400, 40
SAYINGS = 4
TEXT = "The search for flights to Lisbon on 2026-11-20 found nothing; order {} of user 8150 stays open. "
MIB = 1 << 20


def run() -> list[Figure]:
    """Measure both; the latter where the package is installed."""
    folder = model_folder(None) if find_spec(PACKAGE) is not None else ""
    along = [("second look, steps of 1 kB read along", _read_along(), "steps/CPU-s")]
    if not folder:
        return along
    return [*along, ("second look, from escalation to verdict, warm, median", _latency(folder), "ms")]


def _steps(run: str, count: int, repeated: int = 1) -> list[Step]:
    return [
        Step(
            "t", run, run, f"{n:016x}", LLM, n * 10**9, n * 10**9 + 5, output_text=TEXT.format(f"{run} {n}") * repeated
        )
        for n in range(1, count + 1)
    ]


def _read_along() -> float:
    model = Encodings(ModelProcess(command_for("")))  # is never asked
    stage = SecondLookStage(model, PACKAGED_MODEL, time.time_ns, 32 * MIB, lambda _: ())
    state = CommittedState()
    stage.restore(state)
    values = [encode_steps(_steps(f"{number:032x}", 1, 10)) for number in range(RUNS)]
    records = [Record(AGENT_STEPS, 0, n, f"t/{n % RUNS:032x}", values[n % RUNS], {}, n) for n in range(STEPS)]
    began = time.process_time()
    for at in range(0, STEPS, A_BATCH):
        state.apply(stage.handle(Batch(records[at : at + A_BATCH], at), state).changes)
    return STEPS / (time.process_time() - began)


def _latency(folder: str) -> float:
    process = ModelProcess(command_for(folder))
    with tempfile.TemporaryDirectory() as data:
        bus = EmbeddedBus(Path(data))
        read = partial(read_back, bus)
        make = partial(SecondLookStage, Encodings(process), PACKAGED_MODEL, bus.now_ns, 32 * MIB, read)
        thread = StageThread(SecondLookStage.group, make, bus, print)
        thread.start()
        reader = bus.reader([DETECTIONS])
        found = [_one_verdict(bus, reader, f"{number:032x}") for number in range(FINDINGS)]
        thread.stop()
        thread.join(10)
        reader.close()
        bus.close()
    process.close()
    return statistics.median(found[1:]) * 1e3  # the first waits for the model's start


def _one_verdict(bus: EmbeddedBus, reader: Any, run: str) -> float:
    steps = _steps(run, SAYINGS)
    bus.publish([Outgoing(AGENT_STEPS, f"t/{run}", encode_steps(steps))]).result()
    began = time.perf_counter()
    subject = Subject("t", run, "s", "a", "", "", "repetition", "1")
    bus.publish([escalation_outgoing(subject, _finding(run, steps), 1, 0)]).result()
    while not any(one.headers["ce_source"] == SOURCE for one in reader.poll(timeout_seconds=1.0).records):
        pass
    return time.perf_counter() - began


def _finding(run: str, steps: list[Step]) -> Finding:
    spans = tuple(SpanRef(run, step.span_id) for step in steps)
    return Finding("repetition", run, spans[0], spans, OPEN, 3, 0.5, "low", 30, "{agent} said it again", run, {}, 1)
