"""What waits for a group is counted also while no member has the tasks it waits for, as after a member's death."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from counting_stage import KEYS, Counting, counted, once_each, publish
from kafka_broker import Broker
from kafka_buses import make_topics
from kafka_fixtures import OpenBuses

from collector.bus import kafka_group_lag
from collector.bus.kafka import KafkaBus
from collector.bus.kafka_connection import KafkaConnection
from collector.bus.protocol import Outgoing
from collector.stages import StageThread
from schemas.metrics import GROUP_LAG
from schemas.topics import AGENT_STEPS, OTLP_SPANS

PARTITIONS = 4


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_group_lag, "LOOK_SECONDS", 0.2)


@pytest.fixture
def open_bus(kafka_buses: OpenBuses) -> Callable[[], KafkaBus]:
    return kafka_buses(PARTITIONS)


def shown(group: str = "counting", topic: str = AGENT_STEPS) -> float | None:
    """Read what is shown; None where nothing is."""
    samples = [sample for metric in GROUP_LAG.collect() for sample in metric.samples]
    ours = [one.value for one in samples if one.labels == {"group": group, "topic": topic}]
    return ours[0] if ours else None


def becomes(wanted: float | None, *of: str) -> bool:
    """Say whether that is shown within a while."""
    deadline = time.monotonic() + 30
    while shown(*of) != wanted and time.monotonic() < deadline:
        time.sleep(0.1)
    return shown(*of) == wanted


def test_what_nobody_works_is_counted_by_each_member_that_is_left(open_bus: Callable[[], KafkaBus]) -> None:
    looking = open_bus()
    tasks = looking.tasks("counting", [AGENT_STEPS])  # a member that has all tasks, and begins none
    publish(looking, 3)
    assert becomes(3 * len(KEYS))
    tasks.close()
    assert shown() is None


def test_what_senders_bring_is_counted_where_no_member_is_left(kafka: Broker, topic_prefix: str) -> None:
    connection = KafkaConnection(kafka.bootstrap, topic_prefix)
    make_topics(connection)
    receiver = KafkaBus(connection, replication=1, readers=["normaliser", "of another deployment"])
    member = receiver.consumer("normaliser", [OTLP_SPANS])
    bring(receiver, 2)
    assert len(member.poll(1, timeout_seconds=20.0).records) == 1
    member.commit()
    member.close()  # the only one there was
    bring(receiver, 3)
    assert becomes(4.0, "normaliser", OTLP_SPANS)
    assert shown("of another deployment", OTLP_SPANS) is None
    receiver.close()
    assert shown("normaliser", OTLP_SPANS) is None


def bring(bus: KafkaBus, records: int) -> None:
    for _ in range(records):
        bus.publish([Outgoing(OTLP_SPANS, "", b"spans")]).result(20)


def test_what_was_read_and_committed_is_not(open_bus: Callable[[], KafkaBus]) -> None:
    bus = open_bus()
    publish(bus, 2)
    worker = StageThread("counting", Counting, bus, pytest.fail)
    worker.start()
    assert counted(bus, 2) == once_each(2)
    assert becomes(0)
    worker.stop()
    assert worker.join(60)
    assert becomes(None)
