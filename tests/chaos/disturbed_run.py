"""One run on Kafka with faults in it, and the same requests through one process that is left alone."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from clickhouse_servers import ChdbServer
from faults import FAULTS, SESSION_SECONDS, Fault, World, as_networks_do
from faulty_link import FaultyLink
from kafka_broker import Broker, JavaBroker
from outcome import Outcome, outcome_of
from patient_client import PatientClient
from pipeline_process import PipelineProcess
from role_processes import RoleProcesses

MORE_TO_FIND = "processors::cost::budgets::run_usd=0.0001"
PARTITIONS = 4
SETTLE_SECONDS = 300.0


def undisturbed(folder: Path, bodies: Sequence[bytes]) -> Outcome:
    """Send everything to one process on the embedded bus."""
    pipeline = PipelineProcess(folder / "undisturbed", MORE_TO_FIND).start()
    try:
        send_all(PatientClient(pipeline, bodies), len(bodies))
        pipeline.settle(SETTLE_SECONDS)
        return outcome_of(pipeline)
    finally:
        pipeline.kill_if_running()


@contextlib.contextmanager
def world(folder: Path, broker: Broker, prefix: str, away_seconds: float) -> Iterator[World]:
    """Start all roles on a broker, with a store of their own behind a wire that can be cut."""
    with ExitStack() as stack:
        (folder / "server").mkdir(parents=True)
        store = ChdbServer(folder / "server")
        stack.callback(store.close)
        link = FaultyLink(store.host, store.port)
        stack.callback(link.unplug)
        dsn = store.dsn("tracemend", link.port)
        settings = (
            MORE_TO_FIND,
            f"bus::partitions={PARTITIONS}",
            "bus::kafka::replication=1",
            f"bus::kafka::session_timeout_seconds={SESSION_SECONDS}",
        )
        roles = RoleProcesses(folder / "roles", broker.bootstrap, prefix, dsn, *settings)
        stack.callback(roles.close)
        roles.start()
        yield World(roles, broker if isinstance(broker, JavaBroker) else None, store, link, away_seconds)


def disturbed(where: World, bodies: list[bytes], seed: int, plan: Sequence[Fault]) -> Outcome:
    """Send everything, out of order and some of it twice, while faults happen by a plan."""
    sent = as_networks_do(bodies, seed)
    client = PatientClient(where.roles, sent)
    client.start()
    for fault in plan:
        client.reached(min(fault.after, len(sent)))
        FAULTS[fault.what](where)
    client.reached(len(sent))
    where.roles.settle(SETTLE_SECONDS)
    return outcome_of(where.roles)


def send_all(client: PatientClient, requests: int) -> None:
    """Send everything and wait until it was taken."""
    client.start()
    client.reached(requests)
    time.sleep(0.1)
