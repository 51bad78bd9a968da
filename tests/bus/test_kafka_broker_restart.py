"""The broker dies and comes back: senders are told to wait, stages go on where they were, nothing twice."""

from __future__ import annotations

import time

import pytest
from counting_stage import KEYS, Counting, counted, once_each, publish
from kafka_broker import Broker, JavaBroker
from kafka_buses import make_topics

from collector import stages
from collector.bus.kafka import KafkaBus
from collector.bus.kafka_connection import KafkaConnection
from collector.bus.protocol import BusUnavailable, Outgoing
from collector.stages import StageThread
from schemas.topics import AGENT_STEPS

AWAY_SECONDS = 60.0


def refused(bus: KafkaBus) -> str:
    """Publish until it is refused; gives the reason. What was given before that is delivered later."""
    deadline = time.monotonic() + AWAY_SECONDS
    while time.monotonic() < deadline:
        given = bus.publish([Outgoing(AGENT_STEPS, key, b"x") for key in KEYS])
        if given.done() and isinstance(error := given.exception(), BusUnavailable):
            return str(error)
        time.sleep(1.0)
    pytest.fail("nobody was told that the broker is away")


@pytest.mark.crash
def test_a_broker_that_dies_and_comes_back(kafka: Broker, topic_prefix: str) -> None:
    if not isinstance(kafka, JavaBroker):
        pytest.skip("the broker that is used is not ours to kill")
    connection = KafkaConnection(kafka.bootstrap, topic_prefix)
    make_topics(connection, 2)
    bus = KafkaBus(connection, replication=1)
    thread = StageThread("counting", Counting, bus, pytest.fail)
    thread.start()
    publish(bus, 2)
    assert counted(bus, 2) == once_each(2)
    kafka.kill()
    try:
        said = refused(bus)
    finally:
        kafka.start()
    assert f"Kafka on {kafka.bootstrap} has acknowledged nothing for" in said
    deadline = time.monotonic() + AWAY_SECONDS
    while bus.trouble and time.monotonic() < deadline:
        time.sleep(0.1)
    publish(bus, 1)
    once = counted(bus, 3)
    for counts in once.values():
        assert counts == list(range(1, len(counts) + 1))
    thread.stop()
    assert thread.join(AWAY_SECONDS)
    assert thread.status == stages.STOPPED, thread.error
    bus.close()
