"""The receiver before a Kafka broker, beside Rotel before the same one; and how long state takes to come back from it.

Both write with acks=all and zstd, without batching of their own, to a topic of one partition and to one of twelve.
What was accepted and is not on the topic afterwards is counted as lost. On twelve partitions Rotel puts each request
into one of them; ours puts each span into that of its trace, and so writes as many records as a request has partitions.
"""

from __future__ import annotations

import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from statistics import median
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.bus.kafka import KafkaBus
from collector.bus.kafka_connection import KafkaConnection
from collector.bus.protocol import StateChange
from schemas.topics import OTLP_SPANS

from . import Figure, peer_rotel
from .bench_receiver import Case, spans_per_cpu_second
from .receiving_servers import Server, receiver_on_kafka, rotel

sys.path.insert(0, str(Path(__file__).parents[1] / "driving"))

from kafka_broker import open_broker  # the drivers' folder has to be on the path first
from kafka_buses import make_topics

CASES = (Case("gRPC", 500, 20), Case("gRPC", 100, 20), Case("gRPC", 500, 20, 12), Case("gRPC", 100, 20, 12))
RUNS = 3
KEYS, KEYS_A_COMMIT = 100_000, 5_000
VALUE = b"x" * 200
Start = Callable[[str, str], AbstractContextManager[Server]]
"""From brokers and a prefix of topics to a server that writes there."""


def run() -> list[Figure]:
    """Start a broker and measure all of it there."""
    with tempfile.TemporaryDirectory() as folder, closing(open_broker(Path(folder))) as broker:
        agent = peer_rotel.rotel_agent_if_any()
        figures = [figure for case in CASES for figure in _beside_rotel(case, broker.bootstrap, agent)]
        return [*figures, *_restore(broker.bootstrap)]


def _beside_rotel(case: Case, brokers: str, agent: Path | None) -> Iterator[Figure]:
    ours, theirs = [], []
    for _ in range(RUNS):
        ours.append(_measured(case, brokers, _ours))
        if agent is not None:
            theirs.append(_measured(case, brokers, lambda brokers, prefix: _theirs(agent, brokers, prefix)))
    yield from _figures("receiver to Kafka", case, ours)
    if theirs:
        yield from _figures("Rotel to Kafka", case, theirs)
        yield f"ours for each of Rotel's, {case}", max(ours).speed / max(theirs).speed, "times"


class Run(NamedTuple):
    """What one run gave: spans a CPU-second of the server, those lost of what it accepted, and records a request."""

    speed: float
    lost: int
    records: float


def _figures(who: str, case: Case, runs: list[Run]) -> Iterator[Figure]:
    yield f"{who}, {case}", max(run.speed for run in runs), "spans/CPU-s"
    yield f"  median of {RUNS}, {who}, {case}", median(run.speed for run in runs), "spans/CPU-s"
    yield f"  accepted and lost, {who}, {case}", float(sum(run.lost for run in runs)), "spans"
    yield f"  records a request, {who}, {case}", median(run.records for run in runs), "records"


def _measured(case: Case, brokers: str, start: Start) -> Run:
    """Run a server of its own on topics of its own."""
    prefix = f"bench-{uuid.uuid4().hex[:8]}-"
    make_topics(KafkaConnection(brokers, prefix), case.partitions)
    speed, accepted = spans_per_cpu_second(case, start(brokers, prefix))
    spans, records = _on_topic(brokers, prefix)
    return Run(speed, accepted - spans, records * case.batch / accepted)


def _ours(brokers: str, prefix: str) -> AbstractContextManager[Server]:
    return receiver_on_kafka(brokers, prefix)


def _theirs(agent: Path, brokers: str, prefix: str) -> AbstractContextManager[Server]:
    options = {
        "exporter": "kafka",
        "kafka-exporter-brokers": brokers,
        "kafka-exporter-traces-topic": f"{prefix}{OTLP_SPANS}",
        "kafka-exporter-acks": "all",
        "kafka-exporter-compression": "zstd",
    }
    return rotel(agent, "--disable-batching", *(part for key, value in options.items() for part in (f"--{key}", value)))


def _on_topic(brokers: str, prefix: str) -> tuple[int, int]:
    """Count the spans on the topic, and the records that they are in, until no more come."""
    spans = count = 0
    with closing(KafkaBus(KafkaConnection(brokers, prefix))) as bus, closing(bus.reader([OTLP_SPANS])) as reader:
        for partition in range(bus.partitions(OTLP_SPANS)):
            reader.seek(OTLP_SPANS, partition, 0)
        while records := reader.poll(10_000, timeout_seconds=2.0).records:
            spans += sum(map(_spans, (record.value for record in records)))
            count += len(records)
    return spans, count


def _spans(value: bytes) -> int:
    request = ExportTraceServiceRequest.FromString(value)
    return sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)


def _restore(brokers: str) -> Iterator[Figure]:
    """Commit many keys as one task, and begin the task again."""
    prefix = f"bench-{uuid.uuid4().hex[:8]}-"
    make_topics(KafkaConnection(brokers, prefix))
    with closing(KafkaBus(KafkaConnection(brokers, prefix), replication=1)) as bus:
        with closing(bus.consumer("bench", [OTLP_SPANS])) as task:
            for at in range(0, KEYS, KEYS_A_COMMIT):
                task.commit(changes=[_change(number) for number in range(at, at + KEYS_A_COMMIT)])
        begun = time.perf_counter()
        with closing(bus.consumer("bench", [OTLP_SPANS])) as task:
            took = time.perf_counter() - begun
            if task.state.count("s") != KEYS:
                raise RuntimeError(f"{task.state.count('s')} of {KEYS} keys came back")
    yield f"state restored from its changelog, per million keys of {len(VALUE)} bytes", took * 1e6 / KEYS, "s"


def _change(number: int) -> StateChange:
    return StateChange("s", f"default/{number:032x}", VALUE, number)
