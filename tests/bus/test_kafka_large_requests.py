"""Requests over the broker's limit: split by span, and what cannot be split is refused with its id, never lost."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest
from kafka_broker import Broker
from kafka_buses import make_topics
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.admission import Admission
from collector.bus.kafka import KafkaBus
from collector.bus.kafka_connection import KafkaConnection
from collector.bus.protocol import Outgoing, RecordTooLarge
from collector.receivers.intake import Accepted, Intake
from collector.receivers.signals import TRACES
from schemas.topics import OTLP_SPANS, TOPICS

LIMIT = 1_000_000
"""What brokers take where nobody changed it, about."""
PARTITIONS = 3
FITTING, TOO_LARGE = range(1, 41), 99


@pytest.fixture
def bus(kafka: Broker, topic_prefix: str) -> Iterator[KafkaBus]:
    connection = KafkaConnection(kafka.bootstrap, topic_prefix)
    topics = [topic._replace(max_message_bytes=LIMIT) for topic in TOPICS]
    make_topics(connection, PARTITIONS, topics)
    opened = KafkaBus(connection, replication=1)
    yield opened
    opened.close()


def request() -> ExportTraceServiceRequest:
    """Make spans of 100 kB that nothing compresses, of several traces, and one that no record can hold."""
    made = ExportTraceServiceRequest()
    scope = made.resource_spans.add().scope_spans.add()
    for number in (*FITTING, TOO_LARGE):
        span = scope.spans.add(trace_id=(number % 7 + 1).to_bytes(16, "big"), span_id=number.to_bytes(8, "big"))
        value = os.urandom(LIMIT if number == TOO_LARGE else 100_000)
        span.attributes.add(key="payload").value.bytes_value = value
    return made


def take(bus: KafkaBus, body: bytes) -> Accepted:
    intake = Intake(bus, Admission(1 << 40))
    return asyncio.run(intake.take(TRACES, body, "http"))


def stored(bus: KafkaBus) -> list[int]:
    reader = bus.reader([OTLP_SPANS])
    for partition in range(PARTITIONS):
        reader.seek(OTLP_SPANS, partition, 0)
    found: list[int] = []
    while records := reader.poll(1_000, timeout_seconds=3.0).records:
        for record in records:
            assert len(record.value) <= LIMIT
            read = ExportTraceServiceRequest.FromString(record.value)
            found += [
                int.from_bytes(span.span_id, "big")
                for resource in read.resource_spans
                for scope in resource.scope_spans
                for span in scope.spans
            ]
    reader.close()
    return sorted(found)


def test_every_span_that_was_accepted_is_there_and_the_one_that_was_not_is_named(bus: KafkaBus) -> None:
    accepted = take(bus, request().SerializeToString())
    assert (accepted.items, accepted.rejected) == (len(FITTING), 1)
    assert TOO_LARGE.to_bytes(8, "big").hex() in accepted.reason
    assert stored(bus) == list(FITTING)


def test_a_record_the_broker_would_refuse_is_refused_before_any_of_the_others_is_sent(bus: KafkaBus) -> None:
    records = [Outgoing(OTLP_SPANS, "", b"x" * 10), Outgoing(OTLP_SPANS, "", os.urandom(LIMIT + 1))]
    with pytest.raises(RecordTooLarge):
        bus.publish(records).result(30)
    assert stored(bus) == []
