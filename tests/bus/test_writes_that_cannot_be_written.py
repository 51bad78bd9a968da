"""One write at fault fails alone: the writer and everybody's writes beside it go on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from collector.bus.embedded import EmbeddedBus
from collector.bus.protocol import Outgoing, StateChange
from schemas.topics import OTLP_LOGS, OTLP_SPANS


@pytest.fixture
def bus(tmp_path: Path) -> EmbeddedBus:
    return EmbeddedBus(tmp_path)


def test_a_write_at_fault_fails_alone(bus: EmbeddedBus) -> None:
    consumer = bus.consumer("g", [OTLP_SPANS])
    waiting = [bus.publish([Outgoing(OTLP_SPANS, "k", b"before")])]
    with pytest.raises(OverflowError):
        consumer.commit(changes=[StateChange("s", "k", b"v", due_ns=2**70)])
    waiting += [bus.publish([Outgoing("nothing of that name", "k", b"x")])]
    waiting += [bus.publish([Outgoing(OTLP_SPANS, "k", b"after")]) for _ in range(3)]
    failed = [type(done.exception(10)).__name__ for done in waiting]
    assert failed == ["NoneType", "KeyError", "NoneType", "NoneType", "NoneType"]
    assert len(consumer.poll(timeout_seconds=2).records) == 4
    consumer.close()
    bus.close()


def test_a_poll_gives_the_oldest_of_all_partitions_and_no_more_than_asked(bus: EmbeddedBus) -> None:
    for number in range(6):
        bus.publish([Outgoing((OTLP_SPANS, OTLP_LOGS)[number % 2], "k", str(number).encode())]).result(5)
        time.sleep(0.002)
    consumer = bus.consumer("g", [OTLP_LOGS, OTLP_SPANS])
    read: list[bytes] = []
    for size in (1, 4, 500):
        batch = consumer.poll(size, timeout_seconds=1)
        assert len(batch.records) <= size
        assert batch.now_ns >= batch.records[-1].append_ns
        read += [record.value for record in batch.records]
        consumer.commit()
        consumer.rewind()
    assert read == [str(number).encode() for number in range(6)]
    consumer.close()
    bus.close()
