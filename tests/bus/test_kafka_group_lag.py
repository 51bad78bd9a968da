"""What waits for a group is counted also while no member has the tasks it waits for, as after a member's death."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from counting_stage import KEYS, Counting, counted, once_each, publish
from kafka_fixtures import OpenBuses

from collector.bus import kafka_group_lag
from collector.bus.kafka import KafkaBus
from collector.stages import StageThread
from schemas.metrics import GROUP_LAG
from schemas.topics import AGENT_STEPS

PARTITIONS = 4


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_group_lag, "LOOK_SECONDS", 0.2)


@pytest.fixture
def open_bus(kafka_buses: OpenBuses) -> Callable[[], KafkaBus]:
    return kafka_buses(PARTITIONS)


def shown() -> float | None:
    """Read what is shown; None where nothing is."""
    samples = [sample for metric in GROUP_LAG.collect() for sample in metric.samples]
    ours = [one.value for one in samples if one.labels == {"group": "counting", "topic": AGENT_STEPS}]
    return ours[0] if ours else None


def becomes(wanted: float | None) -> bool:
    """Say whether that is shown within a while."""
    deadline = time.monotonic() + 30
    while shown() != wanted and time.monotonic() < deadline:
        time.sleep(0.1)
    return shown() == wanted


def test_what_nobody_works_is_counted_by_each_member_that_is_left(open_bus: Callable[[], KafkaBus]) -> None:
    looking = open_bus()
    tasks = looking.tasks("counting", [AGENT_STEPS])  # a member that has all tasks, and begins none
    publish(looking, 3)
    assert becomes(3 * len(KEYS))
    tasks.close()
    assert shown() is None


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
