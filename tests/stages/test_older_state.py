"""Runs that an older version of the runtime or of a detector wrote are begun anew and counted, on either bus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka_fixtures import OpenBuses

from collector.bus.embedded import EmbeddedBus
from collector.bus.protocol import Bus, Outgoing
from processors.loop import LoopDetector
from processors.runs import state as run_state
from processors.runs.keyed_state import STORE, VERSION, WINDOWS
from processors.runtime import Runtime
from processors.spending.model_catalogue import PricedModels
from schemas.metrics import RUNS_EVICTED
from schemas.step import TOOL, Step
from schemas.steps_codec import encode_steps
from schemas.topics import AGENT_STEPS, DETECTIONS

GROUP = "older"
RUN = "0af7651916cd43dd8448eb211c80319c"
OpenBus = Callable[[], Bus]


@pytest.fixture(params=["embedded", "kafka"])
def open_bus(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenBus]:
    if request.param == "kafka":
        buses: OpenBuses = request.getfixturevalue("kafka_buses")
        yield buses(1)
        return
    opened: list[Bus] = []

    def open_one() -> Bus:
        for bus in opened:
            bus.close()
        opened.append(EmbeddedBus(tmp_path))
        return opened[-1]

    yield open_one
    opened[-1].close()


def calls(first: int, count: int) -> Outgoing:
    """Write steps of a run that calls a tool with the same arguments again and again."""
    at = time.time_ns()
    steps = [
        Step("default", RUN, RUN, f"{number:016x}", TOOL, at + number, at + number + 1, tool="search", args_hash="a")
        for number in range(first, first + count)
    ]
    return Outgoing(AGENT_STEPS, f"default/{RUN}", encode_steps(steps))


def worked(bus: Bus) -> tuple[list[str], dict[str, int]]:
    """Work what there is; gives where outputs go, and how many rows of state each store then has."""
    consumer = bus.consumer(GROUP, [AGENT_STEPS])
    runtime = Runtime(GROUP, [LoopDetector(LoopDetector.Config(), PricedModels())], time.time_ns)
    runtime.restore(consumer.state)
    handled = runtime.handle(consumer.poll(timeout_seconds=20.0), consumer.state)
    consumer.commit(handled.outputs, handled.changes)
    rows = {store: consumer.state.count(store) for store in (STORE, WINDOWS)}
    consumer.close()
    return [output.topic for output in handled.outputs], rows


def begun_anew() -> float:
    return float(RUNS_EVICTED.labels(processor=GROUP, reason=VERSION)._value.get())


def later_version(of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the program be the next one."""
    if of == "runtime":
        monkeypatch.setattr(run_state, "STATE_SCHEMA", run_state.STATE_SCHEMA + 1)
    else:
        monkeypatch.setattr(LoopDetector, "version", f"{LoopDetector.version}+1")


@pytest.mark.parametrize("of", ["runtime", "detector"])
def test_a_run_of_an_older_version_is_begun_anew_and_counted(
    open_bus: OpenBus, of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = open_bus()
    bus.publish([calls(0, 300)]).result(20)
    outputs, before = worked(bus)
    assert outputs.count(DETECTIONS) == 1
    counted = begun_anew()
    later_version(of, monkeypatch)
    bus = open_bus()
    bus.publish([calls(300, 6)]).result(20)
    outputs, after = worked(bus)
    assert begun_anew() == counted + 1
    assert outputs.count(DETECTIONS) == 1, "six more calls are a loop by themselves"
    assert after[STORE] == before[STORE] == 1
    assert after[WINDOWS] < before[WINDOWS], "what the older version kept of the run is gone"
