"""The backlog on Kafka: what the slowest of the groups that count has still to read."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from kafka_broker import Broker
from kafka_buses import make_topics

from collector.bus.kafka import KafkaBus
from collector.bus.kafka_connection import KafkaConnection
from collector.bus.protocol import Consumer, Outgoing
from schemas.topics import OTLP_SPANS

RECORD_BYTES = 10_000


def eventually(holds: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Say whether something that is looked at every second comes true."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def read(consumer: Consumer, count: int) -> None:
    """Read so many records, and commit."""
    left = count
    while left:
        left -= len(consumer.poll(left, timeout_seconds=20.0).records)
    consumer.commit()


def test_the_backlog_is_what_the_slowest_reader_has_still_to_read(kafka: Broker, topic_prefix: str) -> None:
    connection = KafkaConnection(kafka.bootstrap, topic_prefix)
    make_topics(connection)
    bus = KafkaBus(connection, replication=1, readers=["quick", "slow"])
    quick, slow = bus.consumer("quick", [OTLP_SPANS]), bus.consumer("slow", [OTLP_SPANS])
    for _ in range(5):
        bus.publish([Outgoing(OTLP_SPANS, "", os.urandom(RECORD_BYTES))]).result(20)
    assert bus.backlog_bytes() == 0  # groups that have committed nothing are not known to read
    for consumer, records in ((quick, 5), (slow, 1)):
        read(consumer, records)
    assert eventually(lambda: bus.backlog_bytes() == 4 * RECORD_BYTES)
    read(slow, 2)
    assert eventually(lambda: bus.backlog_bytes() == 2 * RECORD_BYTES)
    assert bus.drained_bytes_a_second() > 0
    quick.close()
    slow.close()
    bus.close()
