"""A group's work on Kafka is split into tasks, which go from member to member with their state."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import pytest
from kafka_broker import Broker
from kafka_buses import make_topics, open_kafka_bus

from collector import stages
from collector.bus.kafka import KafkaBus
from collector.bus.kafka_connection import KafkaConnection
from collector.bus.protocol import Batch, Handled, Outgoing, State, StateChange
from collector.stages import StageThread
from schemas.topics import AGENT_STEPS, USAGE

PARTITIONS = 4
KEYS = [f"t/{number}" for number in range(24)]


class Counting:
    """Counts the records of each key in its state, and says the count on another topic."""

    group = "counting"
    topics: Sequence[str] = (AGENT_STEPS,)

    def restore(self, state: State) -> None:
        """Nothing is kept beside the state."""

    def handle(self, batch: Batch, state: State) -> Handled:
        counts: dict[str, int] = {}
        outputs = []
        for record in batch.records:
            known = counts.get(record.key) or int(state.get("counts", record.key) or b"0")
            counts[record.key] = known + 1
            outputs.append(Outgoing(USAGE, record.key, str(known + 1).encode()))
        return Handled(outputs, [StateChange("counts", key, str(count).encode()) for key, count in counts.items()])


@pytest.fixture
def open_bus(kafka: Broker, topic_prefix: str) -> Iterator[Callable[[], KafkaBus]]:
    make_topics(KafkaConnection(kafka.bootstrap, topic_prefix), PARTITIONS)
    opened: list[KafkaBus] = []

    def open_one() -> KafkaBus:
        opened.append(open_kafka_bus(kafka.bootstrap, topic_prefix))
        return opened[-1]

    yield open_one
    for bus in opened:
        bus.close()


def member(bus: KafkaBus) -> StageThread:
    thread = StageThread("counting", Counting, bus, pytest.fail)
    thread.start()
    return thread


def publish(bus: KafkaBus, times: int) -> None:
    for _ in range(times):
        bus.publish([Outgoing(AGENT_STEPS, key, b"x") for key in KEYS]).result(20)


def counted(bus: KafkaBus, until: int, seconds: float = 60.0) -> dict[str, list[int]]:
    """Read what was said of each key, until the last is at a count."""
    reader = bus.reader([USAGE])
    for partition in range(PARTITIONS):
        reader.seek(USAGE, partition, 0)
    said: dict[str, list[int]] = {}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not (
        set(said) == set(KEYS) and all(max(counts) >= until for counts in said.values())
    ):
        for record in reader.poll(10_000, timeout_seconds=0.5).records:
            said.setdefault(record.key, []).append(int(record.value))
    reader.close()
    return said


def stop(*threads: StageThread) -> None:
    for thread in threads:
        thread.stop()
    for thread in threads:
        assert thread.join(60)
        assert thread.status == stages.STOPPED, thread.error


def test_each_task_counts_its_own_and_a_member_that_comes_takes_some_with_their_state(
    open_bus: Callable[[], KafkaBus],
) -> None:
    one, two = open_bus(), open_bus()
    publish(one, 3)
    first = member(one)
    assert counted(one, 3) == {key: [1, 2, 3] for key in KEYS}
    second = member(two)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not second._tasks:
        publish(one, 1)
        time.sleep(0.1)
    assert len(first._tasks) == len(second._tasks) == PARTITIONS // 2
    publish(one, 2)
    said = counted(one, 6)
    for counts in said.values():
        assert counts == list(range(1, len(counts) + 1))
    stop(second)
    publish(one, 1)
    last = max(map(len, said.values()))
    after = counted(one, last + 1)
    for counts in after.values():
        assert counts == list(range(1, len(counts) + 1))
    stop(first)
