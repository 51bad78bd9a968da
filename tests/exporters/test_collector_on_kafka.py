"""The Collector's Kafka exporter and receiver on our topics: what it writes is processed, what we write it reads."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from built_clients import built
from collector_process import Collector, collector
from described_trace import arrived
from kafka_broker import Broker
from kafka_buses import make_topics, open_kafka_bus
from normaliser_drive import NormaliserDrive
from open_doors import OpenDoors

from collector.bus.kafka import KafkaBus
from collector.bus.kafka_connection import KafkaConnection
from collector.bus.protocol import Consumer, Outgoing, Record
from collector.misrouted import is_misrouted
from collector.normalise.normaliser import Normaliser
from collector.receivers.intake import record_headers
from collector.receivers.signals import TRACES
from collector.spans_by_partition import split
from schemas.metrics import MISROUTED
from schemas.step import Step
from schemas.steps_codec import decode_steps
from schemas.topics import AGENT_STEPS, OTLP_SPANS

pytestmark = [pytest.mark.exporters, pytest.mark.timeout(1800)]

RECORDED = sorted((Path(__file__).parents[1] / "captures" / "recorded").glob("*/*traces*.binpb"))
BODIES = [file.read_bytes() for file in RECORDED]
PARTITIONS = 4
ARRIVAL_SECONDS = 60.0
AS_IT_COMES: Mapping[str, Any] = {}
BY_TRACE = {"partition_traces_by_id": True, "record_partitioner": {"sticky_key": {"hasher": "murmur2"}}}


class World(NamedTuple):
    """Topics under a prefix of their own, and how the Collector was told to write to them."""

    prefix: str
    settings: Mapping[str, Any]


class Exported(NamedTuple):
    """A Collector that has been sent all that was recorded."""

    broker: Broker
    worlds: Mapping[str, World]


@pytest.fixture(scope="module")
def exported(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    built("otelcol")
    begun = f"x{time.time_ns()}-"
    worlds = {"by_trace": World(f"{begun}t-", BY_TRACE), "as_it_comes": World(f"{begun}c-", AS_IT_COMES)}
    for world in worlds.values():
        make_topics(KafkaConnection(kafka.bootstrap, world.prefix), PARTITIONS)
    exporters = {f"kafka/{name}": exporter(kafka, world) for name, world in worlds.items()}
    with collector(tmp_path_factory.mktemp("collector"), exporters) as running:
        for body in BODIES:
            running.send(body)
        yield Exported(kafka, worlds)


def exporter(kafka: Broker, world: World) -> Mapping[str, Any]:
    topic = {"topic": f"{world.prefix}{OTLP_SPANS}", "encoding": "otlp_proto"}
    return {"brokers": [kafka.bootstrap], "traces": topic, "producer": {"required_acks": -1}, **world.settings}


@pytest.mark.parametrize("name", ["by_trace", "as_it_comes"])
def test_what_a_collector_puts_on_the_topic_becomes_the_same_steps_as_our_own(exported: Exported, name: str) -> None:
    with closing(open_kafka_bus(exported.broker.bootstrap, exported.worlds[name].prefix)) as bus:
        wanted = spans_in(BODIES)
        records = everything(bus, OTLP_SPANS, len(wanted))
        strays = [record for record in records if is_misrouted(record, PARTITIONS)]
        assert bool(strays) == (name == "as_it_comes")
        counted = MISROUTED.labels(topic=OTLP_SPANS)._value.get()
        normalise(bus)
        assert MISROUTED.labels(topic=OTLP_SPANS)._value.get() - counted == len(strays)
        again = [record for record in everything(bus, OTLP_SPANS, 0) if not is_misrouted(record, PARTITIONS)]
        assert spans_in(record.value for record in again) == wanted
        assert steps_on(bus) == steps_of_our_own()


def test_a_collector_reads_what_we_write(kafka: Broker, topic_prefix: str, tmp_path: Path) -> None:
    make_topics(KafkaConnection(kafka.bootstrap, topic_prefix), PARTITIONS)
    with ExitStack() as stack:
        bus = stack.enter_context(closing(open_kafka_bus(kafka.bootstrap, topic_prefix)))
        for body in BODIES:
            bus.publish(as_received(body)).result(30)
        doors = stack.enter_context(closing(OpenDoors(tmp_path / "doors", grpc={"read_timeout_seconds": 30})))
        reading = {
            "brokers": [kafka.bootstrap],
            "initial_offset": "earliest",
            "group_id": f"{topic_prefix}collector",
            "traces": {"topics": [f"{topic_prefix}{OTLP_SPANS}"], "encoding": "otlp_proto"},
        }
        exporters = {"otlp_grpc": {"endpoint": doors.grpc, "tls": {"insecure": True}}}
        running: Collector = stack.enter_context(collector(tmp_path, exporters, {"kafka": reading}))
        assert spans_behind(doors, running) == spans_in(BODIES)


def as_received(body: bytes) -> list[Outgoing]:
    """Make the records that our receiver makes of a request."""
    checked = TRACES.check(TRACES.request.FromString(body))
    parts = split(body, checked.keys, PARTITIONS, 1 << 20).parts
    return [
        Outgoing(OTLP_SPANS, one.key, one.value, record_headers("default", one.value), one.partition) for one in parts
    ]


def spans_behind(doors: OpenDoors, running: Collector) -> list[Any]:
    until = time.monotonic() + ARRIVAL_SECONDS
    while len(found := spans_in(record.value for record in doors.stored())) < len(spans_in(BODIES)):
        assert time.monotonic() < until, running.logged("")[-5:]
        time.sleep(0.1)
    return found


def spans_in(values: Any) -> list[Any]:
    return sorted((found for found, _ in arrived(values)), key=lambda span: (span["trace"], span["span"]))


def everything(bus: KafkaBus, topic: str, spans: int) -> list[Record]:
    """Read a topic from its beginning, until so many spans are there and nothing more comes."""
    until = time.monotonic() + ARRIVAL_SECONDS
    with closing(bus.reader([topic])) as reader:
        for partition in range(PARTITIONS):
            reader.seek(topic, partition, 0)
        records: list[Record] = []
        while True:
            batch = reader.poll(10_000, timeout_seconds=1.0)
            records += batch.records
            enough = not spans or len(spans_in(record.value for record in records)) >= spans
            if not batch.records and enough:
                return records
            assert time.monotonic() < until, f"only {len(records)} records came"


def normalise(bus: KafkaBus) -> None:
    """Run the normaliser of each partition, in turn, until there is nothing more to read for any."""
    with closing(bus.tasks(Normaliser.group, Normaliser.topics)) as tasks:
        while len(mine := tasks.mine() or ()) < PARTITIONS:
            tasks.wait(0.1)
        consumers = tasks.begin(mine)
        stages = {number: Normaliser(partitions=bus.partitions) for number in consumers}
        for number, consumer in consumers.items():
            stages[number].restore(consumer.state)
        while sum(handled(stages[number], consumer) for number, consumer in consumers.items()):
            pass
        for consumer in consumers.values():
            consumer.close()


def handled(stage: Normaliser, consumer: Consumer) -> bool:
    """Handle what there is to read; returns whether there was anything."""
    found = False
    while (batch := consumer.poll(timeout_seconds=0.5)).records:
        done = stage.handle(batch, consumer.state)
        consumer.commit(done.outputs, done.changes)
        found = True
    return found


def steps_on(bus: KafkaBus) -> dict[str, Step]:
    """Give the steps that stand on the topic, without their revisions."""
    latest: dict[str, Step] = {}
    for record in everything(bus, AGENT_STEPS, 0):
        for step in decode_steps(record.value):
            known = latest.get(step.span_id)
            assert known is None or step.revision > known.revision
            latest[step.span_id] = step
    return standing(latest)


def steps_of_our_own() -> dict[str, Step]:
    drive = NormaliserDrive()
    for body in BODIES:
        drive.send((OTLP_SPANS, body))
    return standing(drive.latest)


def standing(latest: dict[str, Step]) -> dict[str, Step]:
    return {
        span: msgspec.structs.replace(step, revision=0) for span, step in sorted(latest.items()) if not step.retracted
    }
