"""What goes wrong around a webhook on Kafka, and in it: nothing is lost, and what is done again is known by its id."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
from aiokafka import AIOKafkaProducer
from kafka_broker import Broker, JavaBroker
from webhook_fixtures import PARTITIONS
from webhook_member import (
    WAIT_SECONDS,
    Member,
    committed,
    detection,
    find,
    put_aside,
    told,
    until,
)
from webhook_receiver import Received, WebhookReceiver, answer

from collector import stages
from collector.bus import kafka_application, kafka_application_task
from collector.bus.kafka import KafkaBus
from collector.bus.protocol import Batch, Handled, Outgoing
from sinks.webhook import WebhookSink


@pytest.mark.crash
def test_its_broker_may_die_and_come_back(
    kafka: Broker, webhook_bus: KafkaBus, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_application_task, "ANSWER_SECONDS", 5.0)
    if not isinstance(kafka, JavaBroker):
        pytest.skip("the broker that is used is not ours to kill")
    entered, answered = threading.Event(), threading.Event()

    def respond(_: Received) -> bytes:
        entered.set()
        answered.wait(WAIT_SECONDS)
        return answer(204)

    receiver.respond = respond
    find(webhook_bus, "one")
    member = Member(webhook_bus, receiver)
    until(entered.is_set, member)
    kafka.kill()
    try:
        answered.set()
        until(lambda: member.thread.status == stages.FAILING, member)  # told, and not committed
    finally:
        kafka.start()
    until(lambda: member.thread.status == stages.RUNNING and committed(webhook_bus) == 1, member)
    find(webhook_bus, "two")
    until(lambda: committed(webhook_bus) == 2, member)
    member.stop()
    assert told(receiver) == ["one", "two"]


def test_who_is_stuck_leaves_the_group_and_comes_back_to_it(
    open_webhook_bus: Callable[[], KafkaBus], receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_application, "LONGEST_BATCH_SECONDS", 3.0)
    stuck, free = threading.Event(), threading.Event()

    def respond(_: Received) -> bytes:
        if not stuck.is_set():
            stuck.set()
            free.wait(WAIT_SECONDS)
        return answer(204)

    receiver.respond = respond
    one, two = open_webhook_bus(), open_webhook_bus()
    find(one, "one")
    first = Member(one, receiver)
    until(stuck.is_set, first)
    second = Member(two, receiver)
    find(one, "two")
    until(lambda: committed(one) == 2, second)
    free.set()
    until(lambda: len(first.thread._tasks) + len(second.thread._tasks) == PARTITIONS and first.thread._tasks, first)
    assert first.thread.status == stages.RUNNING
    for partition in range(PARTITIONS):
        find(one, f"last-{partition}", partition=partition)
    until(lambda: committed(one) == 2 + PARTITIONS, first)
    first.stop()
    second.stop()
    assert sorted(told(receiver)) == ["last-0", "last-1", "last-2", "one", "one", "two"]


def test_a_header_without_a_value_keeps_nothing_from_being_told(
    kafka: Broker, topic_prefix: str, webhook_bus: KafkaBus, receiver: WebhookReceiver
) -> None:
    asyncio.run(write_foreign(kafka.bootstrap, topic_prefix, detection("foreign")))
    find(webhook_bus, "ours")
    member = Member(webhook_bus, receiver)
    until(lambda: committed(webhook_bus) == 2, member)
    member.stop()
    assert told(receiver) == ["foreign", "ours"]


async def write_foreign(bootstrap: str, prefix: str, record: Outgoing) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    headers = [("nothing", None), ("bytes", b"\xff")]
    await producer.send_and_wait(
        prefix + record.topic, record.value, record.key.encode(), record.partition, None, headers
    )
    await producer.stop()


class Clumsy(WebhookSink):
    """A sink with a fault: it raises for one event."""

    def deliver(self, batch: Batch, token: str, again: bool) -> Handled:
        """Raise where the event is among those that are told."""
        if any(b"sore" in record.value for record in batch.records):
            raise ValueError("this is a fault")
        return super().deliver(batch, token, again)


def test_a_record_that_makes_the_sink_raise_is_found_and_the_rest_told(
    webhook_bus: KafkaBus, receiver: WebhookReceiver
) -> None:
    find(webhook_bus, "one", "two", "sore", "three", "four")
    member = Member(webhook_bus, receiver, Clumsy)
    until(lambda: committed(webhook_bus) == 5, member)
    member.stop()
    assert sorted(told(receiver)) == ["four", "one", "three", "two"]
    assert [(letter.error_class, letter.offset) for letter in put_aside(webhook_bus)] == [("ValueError", 2)]


def test_events_get_old_also_where_many_wait(webhook_bus: KafkaBus, receiver: WebhookReceiver) -> None:
    find(webhook_bus, *(f"event-{number}" for number in range(45)))
    time.sleep(1.0)
    member = Member(webhook_bus, receiver, max_age_seconds=0.5)
    until(lambda: committed(webhook_bus) == 45, member)
    member.stop()
    assert told(receiver) == []


def test_who_needs_it_not_does_not_load_faststream() -> None:
    code = (
        "import sys, collector.cli.main, collector.pipeline, collector.bus.kafka; sys.exit('faststream' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
