"""Members of the group of a webhook on Kafka, and what tests ask of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from webhook_receiver import WebhookReceiver

from collector import stages
from collector.bus.kafka import KafkaBus
from collector.bus.letters import Letter, letters
from collector.bus.protocol import Outgoing
from collector.stages import StageThread
from schemas.topics import DETECTIONS
from sinks.webhook import Receiver, WebhookSink
from sinks.webhook_circuit import ReceiverCircuit
from sinks.webhook_events import Wanted

WAIT_SECONDS = 60.0
GROUP = "sinks/webhook"


class Member:
    """A member of the group that tells a receiver."""

    def __init__(
        self, bus: KafkaBus, receiver: WebhookReceiver, sink: type[WebhookSink] = WebhookSink, **options: Any
    ) -> None:
        to = Receiver(receiver.url, timeout_seconds=WAIT_SECONDS, **options)
        circuit = ReceiverCircuit()
        self.thread = StageThread(GROUP, lambda: sink("webhook", to, Wanted(), circuit), bus, pytest.fail)
        self.thread.start()

    def stop(self) -> None:
        self.thread.stop()
        assert self.thread.join(WAIT_SECONDS)
        assert self.thread.status == stages.STOPPED, self.thread.error


class Transacted(WebhookSink):
    """The sink as it was served before."""

    at_least_once = False


def detection(name: str, partition: int = 0, headers: Mapping[str, bytes] | None = None) -> Outgoing:
    said = {
        "schema": "tracemend.detection/1",
        "id": name,
        "version": 1,
        "type": "loop",
        "severity": "high",
        "status": "open",
        "tenant": "default",
        "detected_at": "2026-01-01T00:00:00Z",
    }
    return Outgoing(DETECTIONS, f"key-{partition}", json.dumps(said).encode(), headers or {}, partition)


def find(bus: KafkaBus, *names: str, partition: int = 0) -> None:
    for name in names:
        bus.publish([detection(name, partition)]).result(20)


def told(receiver: WebhookReceiver) -> list[str]:
    return [json.loads(body)["id"].removesuffix(".1") for body in receiver.bodies()]


def until(is_so: Callable[[], Any], member: Member) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, (member.thread.status, member.thread.error)
        time.sleep(0.05)


def committed(bus: KafkaBus) -> int:
    return sum(bus.committed(GROUP, [DETECTIONS]).values())


def has_told(bus: KafkaBus, receiver: WebhookReceiver, events: int) -> bool:
    return committed(bus) == len(told(receiver)) == events


def put_aside(bus: KafkaBus) -> list[Letter]:
    return list(letters(bus, 2.0))
