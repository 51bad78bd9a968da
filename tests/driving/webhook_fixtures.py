"""Who hears a webhook, and the buses of a webhook on Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from kafka_fixtures import OpenBuses
from webhook_receiver import WebhookReceiver

from collector.bus.kafka import KafkaBus

PARTITIONS = 3


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    opened = WebhookReceiver()
    yield opened
    opened.close()


@pytest.fixture
def open_webhook_bus(kafka_buses: OpenBuses) -> Callable[[], KafkaBus]:
    return kafka_buses(PARTITIONS)


@pytest.fixture
def webhook_bus(open_webhook_bus: Callable[[], KafkaBus]) -> KafkaBus:
    return open_webhook_bus()
