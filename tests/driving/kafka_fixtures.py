"""A broker for the whole test session, and names on it that no other test uses."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest
from kafka_broker import Broker, open_broker
from kafka_jars import NoBroker


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    try:
        broker = open_broker(tmp_path_factory.mktemp("kafka"))
    except NoBroker as reason:
        said = f"no Kafka broker: {reason}"
        if os.environ.get("TRACEMEND_TEST_REQUIRE_KAFKA"):
            pytest.fail(said)
        pytest.skip(said)
    yield broker
    broker.close()


@pytest.fixture
def topic_prefix() -> str:
    return f"t{uuid.uuid4().hex[:10]}-"
