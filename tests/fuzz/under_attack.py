"""One pipeline, one attack, and what an honest client and the server's memory had to say of it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from hostile_clients import ATTACKS, Doors, HonestClient, Watch, lasting
from pipeline_process import PipelineProcess

SETTINGS = (
    "receivers::otlp::protocols::http::read_timeout_seconds=3",
    "receivers::otlp::protocols::http::idle_timeout_seconds=3",
    "receivers::otlp::protocols::http::max_connections=100",
    "receivers::otlp::protocols::grpc::read_timeout_seconds=3",
    "service::memory_limit_mib=2048",
)
ARRIVAL_SECONDS = 60.0


class Noted(NamedTuple):
    """Latencies of the honest client in seconds, sorted; memory of the server in bytes; how often it was refused."""

    attack: str
    before: list[float]
    during: list[float]
    refusals: int
    held_before: int
    held_at_most: int
    acknowledged: dict[str, str]

    @property
    def growth(self) -> int:
        """Give by how much the server's memory grew at most, bytes."""
        return self.held_at_most - self.held_before


def begun(folder: Path) -> PipelineProcess:
    """Start a pipeline whose patience is short, so that an attack sees the end of it."""
    return PipelineProcess(folder, *SETTINGS).start()


def under_attack(pipeline: PipelineProcess, attack: str, seconds: float) -> Noted:
    """Let an honest client send alone, then beside an attack, then alone again until all of it is answered."""
    info = pipeline.info() or {}
    doors = Doors(info["http"], info["grpc"])
    watch = Watch(info["pid"])
    with HonestClient(doors) as alone:
        time.sleep(seconds / 2)
    held = watch.reset()
    with HonestClient(doors) as client:
        attacking = threading.Thread(target=ATTACKS[attack], args=(doors, lasting(seconds)))
        attacking.start()
        attacking.join()
        peak = watch.peak()
    known = alone.acknowledged | client.acknowledged
    return Noted(attack, sorted(alone.latencies), sorted(client.latencies), client.refusals, held, peak, known)


def missing_or_wrong(pipeline: PipelineProcess, acknowledged: dict[str, str]) -> list[str]:
    """Wait until what was acknowledged is in the store; give the ids of what is not there as it was sent, and once."""
    until = time.monotonic() + ARRIVAL_SECONDS
    while True:
        rows = pipeline.query("SELECT SpanId, SpanName FROM otel_traces WHERE ServiceName = 'honest'").splitlines()
        times = Counter(tuple(row.split("\t")) for row in rows)
        wrong = [one for one, name in acknowledged.items() if times[one, name] != 1]
        if not wrong or time.monotonic() > until:
            return wrong
        time.sleep(0.5)


def milliseconds(latencies: list[float], share: float) -> float:
    """Give a quantile of sorted latencies in milliseconds."""
    return 1e3 * latencies[min(len(latencies) - 1, int(share * len(latencies)))]
