"""Ten thousand live runs, and one run of a hundred thousand steps: what is kept and written stays small."""

from __future__ import annotations

import pytest
from memory_state import MemoryState

from collector.bus.protocol import Batch, Record
from collector.components import detector_class, detector_names
from processors.meaning.static_embedder import StaticEmbedder
from processors.runs.keyed_state import EXPANSION, IN_MEMORY_BYTES, STORE, WINDOWS
from processors.runtime import Runtime
from processors.spending.model_catalogue import PricedModels
from schemas.metrics import CACHE_BYTES, CACHE_EVICTED
from schemas.step import TOOL, Step
from schemas.steps_codec import encode_steps
from schemas.topics import AGENT_STEPS, DETECTIONS

SECOND = 1_000_000_000
START_NS = 1_800_000_000 * SECOND
RUNS = 10_000
BATCH = 500
LATENESS_STEPS = 1_000


EMBEDDER = StaticEmbedder()
NONE: frozenset[str] = frozenset()

OF_MEANING = frozenset(name for name in detector_names() if detector_class(name).reads_vectors)
"""Detectors that read vectors, and take many times as long for a step as the others."""


def runtime_on(state: MemoryState, in_memory_bytes: int = IN_MEMORY_BYTES, without: frozenset[str] = NONE) -> Runtime:
    classes = [detector_class(name) for name in detector_names() if name not in without]
    detectors = [one(one.Config(), PricedModels(), EMBEDDER) for one in classes]
    runtime = Runtime("d", detectors, lambda: START_NS, lateness_steps=LATENESS_STEPS, in_memory_bytes=in_memory_bytes)
    runtime.restore(state)
    return runtime


def step(run: str, number: int, args: str) -> Step:
    at = START_NS + number * SECOND // 1_000
    return Step("default", run, run, f"{number:016x}", TOOL, at, at + 1_000, tool="search", args=args, args_hash=args,
                result=f"result of {args}", result_hash=f"r{args}")  # fmt: skip


def record(offset: int, steps: list[Step]) -> Record:
    return Record(AGENT_STEPS, 0, offset, f"default/{steps[0].run_id}", encode_steps(steps), {}, START_NS + offset)


@pytest.mark.timeout(300)
def test_ten_thousand_live_runs_take_a_head_and_a_row_or_two_each_and_survive_a_restart() -> None:
    state = MemoryState()
    runtime = runtime_on(state)
    for at in range(0, RUNS, BATCH):
        records = [record(number, [step(f"run{number}", 1, "a")]) for number in range(at, at + BATCH)]
        state.apply(runtime.handle(Batch(records, START_NS + at), state).changes)
    assert state.count(STORE) == RUNS
    assert state.count(WINDOWS) == 2 * RUNS
    assert sum(len(row[0]) for row in state.rows.values()) < 2_048 * RUNS
    again = runtime_on(state)
    loop = [step("run77", number, "a") for number in range(2, 6)]
    told = again.handle(Batch([record(RUNS, loop)], START_NS + RUNS), state).outputs
    assert [out.topic for out in told if out.topic == DETECTIONS] == [DETECTIONS]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("length", "without"), [(100_000, OF_MEANING), (20_000, NONE)])
def test_a_long_run_keeps_and_writes_no_more_than_a_short_one(length: int, without: frozenset[str]) -> None:
    state = MemoryState()
    runtime = runtime_on(state, without=without)
    written: list[int] = []
    told = 0
    for at in range(0, length, BATCH):
        steps = [
            step("long", n, "same" if length - 1_000 < n < length - 990 else str(n)) for n in range(at, at + BATCH)
        ]
        handled = runtime.handle(Batch([record(at, steps)], START_NS + at), state)
        state.apply(handled.changes)
        written.append(sum(len(change.value or b"") for change in handled.changes))
        told += sum(out.topic == DETECTIONS for out in handled.outputs)
    assert state.count(WINDOWS) <= LATENESS_STEPS // 64 + 3
    early, late = written[10:30], written[-20:]
    assert max(late) < 2 * max(early)
    assert told >= 1


def test_runs_in_memory_are_bounded_by_their_bytes_and_read_again_when_they_speak() -> None:
    """Small memory and large must find the same."""
    found = []
    for in_memory_bytes in (EXPANSION * 20_000, EXPANSION * 10_000_000):
        state, told = MemoryState(), []
        runtime = runtime_on(state, in_memory_bytes)
        for number in range(1, 9):
            for run in range(60):
                handled = runtime.handle(Batch([record(number, [step(f"run{run}", number, "a")])], START_NS), state)
                state.apply(handled.changes)
                told += [(out.key, out.headers.get("ce_type")) for out in handled.outputs if out.topic == DETECTIONS]
        found.append(told)
        assert CACHE_BYTES.labels(cache=STORE)._value.get() <= in_memory_bytes
    assert evicted("bytes") > 0
    assert found[0] == found[1]
    assert len(found[0]) >= 60


def evicted(reason: str) -> float:
    return float(CACHE_EVICTED.labels(cache=STORE, reason=reason)._value.get())
