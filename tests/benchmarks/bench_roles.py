"""The roles as processes of their own over Kafka and a store: throughput, latency, and what a second replica brings.

Broker, store, all roles and the sender share the machine, so these figures are about how the parts work together; a
cluster has more of everything. It ends within `WHOLE_SECONDS` or says what it was waiting for.
"""

from __future__ import annotations

import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any

from . import Figure
from .bench_pipeline import SPANS_A_REQUEST
from .bench_process import Bodies, Door, latencies

sys.path.insert(0, str(Path(__file__).parents[1] / "driving"))

from clickhouse_servers import ChdbServer  # the drivers' folder has to be on the path first
from kafka_broker import open_broker
from role_processes import ROLES, RoleProcesses

APART = ("loop", "state_delta", "cost", "overflow", "tool_error", "retry_storm")
GROUPS_OF_THEIR_OWN = tuple(f"service::groups::{name}=[{name}]" for name in APART)
PARTITIONS = 4
SECONDS, WARM_SECONDS, WHOLE_SECONDS = 15.0, 3.0, 150.0
LOOK_SECONDS = 0.5
"""How often lag is asked for: ten processes that write down all their metrics take a good part of a core."""
AHEAD = 200
"""Records that may be unread, by all groups together."""
REQUESTS = 40
PROCESSORS = ("processors", "processors#2")


def run() -> list[Figure]:
    """Measure every processor as a process of its own, then one and two replicas of all of them together."""
    until = time.monotonic() + WHOLE_SECONDS
    roles = [role for role in ROLES if role != "processors"] + [f"processors/{name}" for name in APART]
    with tempfile.TemporaryDirectory() as folder, closing(open_broker(Path(folder))) as broker:
        figures = list(_together(Path(folder), broker.bootstrap, roles, until))
        one, two = (_through(Path(folder), broker.bootstrap, replicas, until) for replicas in (1, 2))
    return [
        *figures,
        ("spans through to all processors, 1 replica", one, "spans/s"),
        ("spans through to all processors, 2 replicas", two, "spans/s"),
    ]


@contextmanager
def _running(folder: Path, brokers: str, roles: Sequence[str], *settings: str) -> Iterator[RoleProcesses]:
    place = folder / uuid.uuid4().hex[:8]
    (place / "server").mkdir(parents=True)
    with ExitStack() as stack:
        store = stack.enter_context(closing(ChdbServer(place / "server")))
        settings = (f"bus::partitions={PARTITIONS}", "bus::kafka::replication=1", *settings)
        prefix, dsn = f"bench-{uuid.uuid4().hex[:8]}-", store.dsn("tracemend")
        running = RoleProcesses(place / "roles", brokers, prefix, dsn, *settings, roles=roles)
        stack.callback(running.close)
        _say(f"starting {', '.join(roles)}")
        yield running.start()


def _together(folder: Path, brokers: str, roles: Sequence[str], until: float) -> Iterator[Figure]:
    with _running(folder, brokers, roles, *GROUPS_OF_THEIR_OWN) as running:
        door, bodies = Door(_address(running, "receivers", "http")), Bodies()
        _fill(running, door, bodies, WARM_SECONDS, until)
        begun = time.perf_counter()
        sent = _fill(running, door, bodies, SECONDS, until)
        what = f"{len(roles)} roles over Kafka, each processor a process"
        yield f"{what}: agent spans of 1 kB", sent / (time.perf_counter() - begun), "spans/s"
        _say("sending loops one by one")
        hundredths = quantiles(sorted(latencies(_Doors(running))), n=100)
        yield f"{what}: span sent to detection told, idle, median", hundredths[49] * 1e3, "ms"
        yield f"{what}: span sent to detection told, idle, p99", hundredths[98] * 1e3, "ms"


def _fill(running: RoleProcesses, door: Door, bodies: Bodies, seconds: float, until: float) -> int:
    """Send as much as is taken in so much time, and wait until it is through; returns how many spans."""
    _say(f"sending for {seconds:g} s")
    stop, sent = time.monotonic() + seconds, 0
    while time.monotonic() < stop:
        for _ in range(5):
            door.post(bodies.next())
            sent += SPANS_A_REQUEST
        while running.lag() > AHEAD and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
    _settle(running, until)
    return sent


def _settle(running: RoleProcesses, until: float) -> None:
    _say(f"waiting for {running.lag():.0f} records to be read")
    running.settle(max(1.0, until - time.monotonic()))


def _through(folder: Path, brokers: str, replicas: int, until: float) -> float:
    """Send a fixed load to roles of which the processors are so many processes; gives spans a second until all is read.

    Nothing is stored, so that it is the processors that are waited for.
    """
    roles = ["receivers", "normaliser", *PROCESSORS[:replicas]]
    with _running(folder, brokers, roles) as running:
        door, bodies = Door(_address(running, "receivers", "http")), Bodies()
        _fill(running, door, bodies, WARM_SECONDS, until)
        begun = time.perf_counter()
        for _ in range(REQUESTS):
            door.post(bodies.next())
        _settle(running, until)
        return REQUESTS * SPANS_A_REQUEST / (time.perf_counter() - begun)


def _say(what: str) -> None:
    print(f"roles: {what}", file=sys.stderr, flush=True)


class _Doors:
    """What `latencies` needs of a pipeline: where spans go in, and where detections are told."""

    def __init__(self, running: RoleProcesses) -> None:
        self.http = _address(running, "receivers", "http")
        self.metrics = _address(running, "healing", "metrics")


def _address(running: RoleProcesses, role: str, door: str) -> str:
    info: dict[str, Any] = running.processes[role].info() or {}
    return str(info[door])
