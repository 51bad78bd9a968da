"""Webhooks on Kafka are served by a FastStream application that keeps what the transactional stage kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from faststream import FastStream
from faststream.kafka import KafkaBroker
from webhook_fixtures import PARTITIONS
from webhook_member import (
    GROUP,
    Member,
    Transacted,
    committed,
    detection,
    find,
    has_told,
    put_aside,
    told,
    until,
)
from webhook_receiver import Received, WebhookReceiver, answer

from collector import stages
from collector.bus.kafka import KafkaBus
from collector.bus.kafka_application import Application
from collector.bus.kafka_tasks import KafkaTasks
from collector.bus.protocol import Outgoing
from schemas.metrics import GROUP_LAG, STAGE_LAG
from schemas.topics import DETECTIONS
from sinks.webhook import WebhookSink


def test_it_is_a_faststream_application(webhook_bus: KafkaBus, receiver: WebhookReceiver) -> None:
    member = Member(webhook_bus, receiver)
    find(webhook_bus, "one")
    until(lambda: told(receiver) == ["one"] and committed(webhook_bus) == 1, member)
    members = member.thread._members
    assert isinstance(members, KafkaTasks)
    assert isinstance(members._membership, Application)
    application = members._membership._app
    assert isinstance(application, FastStream)
    (broker,) = application.brokers
    assert isinstance(broker, KafkaBroker)
    assert [len(broker.subscribers), len(broker.publishers)] == [1, 1]
    assert not [topic for topic in webhook_bus._partitions if "changelog" in topic]
    member.stop()


def test_it_goes_on_where_the_stage_with_transactions_was_and_back_again(
    open_webhook_bus: Callable[[], KafkaBus], receiver: WebhookReceiver
) -> None:
    webhook_bus = open_webhook_bus()
    names = [f"event-{number}" for number in range(6)]
    for number, sink in enumerate((Transacted, WebhookSink, Transacted)):
        find(webhook_bus, *names[2 * number : 2 * number + 2])
        member = Member(webhook_bus, receiver, sink)
        until(partial(has_told, webhook_bus, receiver, 2 * number + 2), member)
        member.stop()
    assert told(receiver) == names


def test_what_can_never_be_told_is_put_aside_byte_by_byte_and_the_rest_is_told(
    webhook_bus: KafkaBus, receiver: WebhookReceiver
) -> None:
    foreign = {"ce_source": b"\xff\xfe not text", "empty": b"", "traceparent": b"00-ab"}
    for value in (b"", b"\x00 no JSON"):
        webhook_bus.publish([Outgoing(DETECTIONS, "key-0", value, foreign, 0)]).result(20)
    receiver.respond = lambda request: answer(422 if b"refused" in request.body else 204)
    webhook_bus.publish([detection("refused")]).result(20)
    webhook_bus.publish([detection("named", headers=foreign)]).result(20)
    member = Member(webhook_bus, receiver)
    until(lambda: committed(webhook_bus) == 4, member)
    member.stop()
    assert told(receiver) == ["refused", "named"]
    found = put_aside(webhook_bus)
    assert [(letter.error_class, letter.offset) for letter in found] == [
        ("UnreadableEvent", 0),
        ("UnreadableEvent", 1),
        ("EventRefused", 2),
    ]
    assert [letter.record.value for letter in found[:2]] == [b"", b"\x00 no JSON"]
    ours = {"original-topic", "original-partition", "original-offset", "original-size"}
    ours |= {"error-class", "error-text", "stage"}
    assert {name: value for name, value in found[0].record.headers.items() if name not in ours} == foreign


def test_a_receiver_that_was_away_is_told_each_event_once(webhook_bus: KafkaBus, receiver: WebhookReceiver) -> None:
    receiver.usually = answer(503, retry_after="1")
    find(webhook_bus, "one", "two")
    find(webhook_bus, "three", partition=1)
    member = Member(webhook_bus, receiver)
    until(lambda: "answered 503" in member.thread.error, member)
    assert member.thread.status == stages.FAILING
    assert committed(webhook_bus) == 0
    assert STAGE_LAG.labels(stage=GROUP, topic=DETECTIONS)._value.get() == 3
    assert GROUP_LAG.labels(group=GROUP, topic=DETECTIONS)._value.get() == 3
    before = len(receiver.received)
    receiver.usually = answer(204)
    until(lambda: committed(webhook_bus) == 3, member)
    until(lambda: member.thread.status == stages.RUNNING, member)
    until(lambda: STAGE_LAG.labels(stage=GROUP, topic=DETECTIONS)._value.get() == 0, member)
    member.stop()
    assert sorted(told(receiver)[before:]) == ["one", "three", "two"]


def test_an_event_that_a_receiver_fails_with_holds_up_its_own_partition_only(
    webhook_bus: KafkaBus, receiver: WebhookReceiver
) -> None:
    receiver.respond = lambda request: answer(500 if b"sore" in request.body else 204)
    find(webhook_bus, "sore", "behind")
    find(webhook_bus, *(f"other-{number}" for number in range(30)), partition=1)
    member = Member(webhook_bus, receiver)
    until(lambda: webhook_bus.committed(GROUP, [DETECTIONS]).get((DETECTIONS, 1)) == 30, member)
    assert (DETECTIONS, 0) not in webhook_bus.committed(GROUP, [DETECTIONS])
    assert "behind" not in told(receiver)
    others = [name for name in told(receiver) if name.startswith("other")]
    assert others == [f"other-{number}" for number in range(30)]
    member.stop()


def test_who_comes_while_a_batch_is_held_tells_it_and_nothing_is_lost(
    open_webhook_bus: Callable[[], KafkaBus], receiver: WebhookReceiver
) -> None:
    one, two = open_webhook_bus(), open_webhook_bus()
    receiver.usually = answer(503)
    names = {f"event-{partition}-{number}" for partition in range(PARTITIONS) for number in range(50)}
    for partition in range(PARTITIONS):
        find(one, *(f"event-{partition}-{number}" for number in range(50)), partition=partition)
    first = Member(one, receiver)
    until(lambda: first.thread.error, first)
    second = Member(two, receiver)
    until(lambda: second.thread._tasks and len(first.thread._tasks) < PARTITIONS, second)
    before = len(receiver.received)
    receiver.usually = answer(204)
    until(lambda: committed(one) == len(names), first)
    assert sorted(told(receiver)[before:]) == sorted(names)
    first.stop()
    find(one, "last", partition=0)
    until(lambda: "last" in told(receiver), second)
    second.stop()


def test_a_batch_that_is_told_in_part_is_told_the_rest(webhook_bus: KafkaBus, receiver: WebhookReceiver) -> None:
    tries: dict[bytes, int] = {}

    def respond(request: Received) -> bytes:
        name = request.headers["webhook-id"].encode()
        tries[name] = tries.get(name, 0) + 1
        return answer(503 if name == b"third.1" and tries[name] == 1 else 204)

    receiver.respond = respond
    find(webhook_bus, "first", "second", "third", "fourth")
    member = Member(webhook_bus, receiver)
    until(lambda: committed(webhook_bus) == 4, member)
    member.stop()
    assert told(receiver) == ["first", "second", "third", "third", "fourth"]
