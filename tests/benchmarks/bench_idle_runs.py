"""What runs cost that are open but quiet: a stage with all detectors on a real bus, with no run and with 10,000."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from collector.bus.embedded import EmbeddedBus
from collector.bus.protocol import Consumer, Outgoing
from collector.components import detector_class, detector_names
from processors.meaning.static_embedder import StaticEmbedder
from processors.runs.keyed_state import STORE
from processors.runtime import Runtime
from processors.spending.model_catalogue import PricedModels
from schemas.topics import AGENT_STEPS

from . import Figure
from .bench_pipeline import SPANS_A_REQUEST, normalised, plain_request

RUNS = 10_000
WATCHED_SECONDS = 5.0
GROUP = "idle"


EMBEDDER = StaticEmbedder()


def run() -> list[Figure]:
    """Fill a stage with runs, then watch it have nothing to do."""
    with tempfile.TemporaryDirectory() as folder:
        bus = EmbeddedBus(Path(folder))
        detectors = [
            detector_class(name)(detector_class(name).Config(), PricedModels(), EMBEDDER) for name in detector_names()
        ]
        stage, consumer = Runtime(GROUP, detectors, time.time_ns), bus.consumer(GROUP, [AGENT_STEPS])
        stage.restore(consumer.state)
        none = _idle_percent(stage, consumer)
        bus.publish(_steps()).result()
        while _turn(stage, consumer):
            pass
        some = _idle_percent(stage, consumer)
        if (live := consumer.state.count(STORE)) != RUNS:
            raise RuntimeError(f"{live} runs are open, not {RUNS}")
        consumer.close()
        bus.close()
    return [
        ("idle stage, all detectors, no runs", none, "% of a core"),
        (f"idle stage, all detectors, {RUNS:,} runs open", some, "% of a core"),
    ]


def _steps() -> list[Outgoing]:
    """Make a step for each run."""
    requests = [plain_request(number, SPANS_A_REQUEST, SPANS_A_REQUEST) for number in range(RUNS // SPANS_A_REQUEST)]
    steps = [out for out in normalised(requests) if out.topic == AGENT_STEPS]
    return [out._replace(key=f"default/{number}") for number, out in enumerate(steps)]


def _idle_percent(stage: Runtime, consumer: Consumer) -> float:
    began, used = time.monotonic(), time.process_time()
    while time.monotonic() - began < WATCHED_SECONDS:
        _turn(stage, consumer)
    return (time.process_time() - used) / (time.monotonic() - began) * 100


def _turn(stage: Runtime, consumer: Consumer) -> int:
    """Do what a stage does over and over; returns the records that were read."""
    batch = consumer.poll()
    handled = stage.handle(batch, consumer.state)
    consumer.commit(handled.outputs, handled.changes)
    return len(batch.records)
