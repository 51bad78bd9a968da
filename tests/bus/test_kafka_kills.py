"""A member that is killed at any point of a transaction, or sleeps past its session: nothing is lost or done twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from counting_stage import Counting, counted, once_each, publish
from kafka_broker import Broker
from kafka_buses import make_topics

from collector import stages
from collector.bus.kafka import KafkaBus
from collector.bus.kafka_connection import KafkaConnection
from collector.stages import StageThread

MEMBER = Path(__file__).parents[1] / "driving" / "counting_member.py"
SESSION_SECONDS = 2.0
PARTITIONS = 2


@pytest.fixture
def bus(kafka: Broker, topic_prefix: str) -> Iterator[KafkaBus]:
    connection = KafkaConnection(kafka.bootstrap, topic_prefix, session_seconds=SESSION_SECONDS)
    make_topics(connection, PARTITIONS)
    opened = KafkaBus(connection, replication=1)
    yield opened
    opened.close()


class Member:
    """A member in a process of its own."""

    def __init__(self, bootstrap: str, prefix: str, place: str) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self.process = subprocess.Popen(
            [sys.executable, str(MEMBER), bootstrap, prefix, place],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )

    def says(self, what: str) -> None:
        """Wait until it says this."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == what:
                return
        pytest.fail(f"the member ended before it said {what!r}")

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def worked_by_another(bus: KafkaBus, until: int) -> dict[str, list[int]]:
    """Let another member work what there is, and read what was said in all."""
    thread = StageThread("counting", Counting, bus, pytest.fail)
    thread.start()
    said = counted(bus, until)
    thread.stop()
    assert thread.join(60)
    assert thread.status == stages.STOPPED, thread.error
    return said


@pytest.mark.crash
@pytest.mark.parametrize(
    ("place", "is_committed"),
    [
        ("after-begin_transaction", False),
        ("before-send_offsets_to_transaction", False),
        ("after-send_offsets_to_transaction", False),
        ("before-commit_transaction", False),
        ("after-commit_transaction", True),
    ],
)
def test_killed_within_a_transaction(
    kafka: Broker, topic_prefix: str, bus: KafkaBus, place: str, is_committed: bool
) -> None:
    publish(bus, 3)
    member = Member(kafka.bootstrap, topic_prefix, place)
    try:
        member.says("here")
    finally:
        member.kill()
    seen = counted(bus, 3, seconds=2.0)
    offsets = bus.committed("counting", Counting.topics)
    assert bool(seen) == bool(offsets) == is_committed
    assert worked_by_another(bus, 3) == once_each(3)


@pytest.mark.crash
def test_a_member_that_slept_past_its_session_is_fenced(kafka: Broker, topic_prefix: str, bus: KafkaBus) -> None:
    publish(bus, 3)
    zombie = Member(kafka.bootstrap, topic_prefix, "handle")
    try:
        zombie.says("here")
        zombie.process.send_signal(signal.SIGSTOP)
        assert worked_by_another(bus, 3) == once_each(3)
        zombie.process.send_signal(signal.SIGCONT)
        zombie.says("fenced")
    finally:
        zombie.kill()
    publish(bus, 1)
    assert worked_by_another(bus, 4) == once_each(4)
