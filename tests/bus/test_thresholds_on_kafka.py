"""Every process follows the compacted thresholds on Kafka: from the oldest on, whatever partition they stand in."""

from __future__ import annotations

import time

from kafka_fixtures import OpenBuses

from collector.bus.kafka import KafkaBus
from healing.saying import threshold_outgoing
from processors.runs.thresholds import Thresholds
from processors.threshold_board import ThresholdBoard
from schemas.people import Threshold

WAIT_SECONDS = 20.0


def threshold(framework: str, confidence: float | None, version: int) -> Threshold:
    return Threshold(
        tenant="default",
        detector="loop",
        framework=framework,
        min_confidence=confidence,
        who="ada",
        version=version,
        at="2026-11-20T10:00:00Z",
    )


def followed(bus: KafkaBus, expected: dict[str, float]) -> None:
    """Follow the topic as a process that starts does, until what holds is as expected."""
    thresholds = Thresholds()
    board = ThresholdBoard("thresholds", thresholds)
    members = bus.tasks(board.group, board.topics, everywhere=True)
    mine = members.mine()
    assert mine is not None
    (consumer,) = members.begin(mine).values()
    board.restore(consumer.state)
    deadline = time.monotonic() + WAIT_SECONDS
    while {name: thresholds.least("default", "loop", name) for name in expected} != expected:
        assert time.monotonic() < deadline
        handled = board.handle(consumer.poll(timeout_seconds=0.2), consumer.state)
        consumer.commit(handled.outputs, handled.changes)
    members.close()


def test_each_process_knows_all_of_them(kafka_buses: OpenBuses) -> None:
    open_bus = kafka_buses(3)
    said = [threshold(name, confidence, 1) for name, confidence in (("", 0.7), ("langgraph", 0.8), ("crewai", 0.9))]
    bus = open_bus()
    bus.publish([threshold_outgoing(one) for one in said]).result(20)
    followed(bus, {"": 0.7, "langgraph": 0.8, "crewai": 0.9})
    bus.publish([threshold_outgoing(threshold("crewai", None, 2))]).result(20)
    followed(open_bus(), {"": 0.7, "langgraph": 0.8, "crewai": 0.7})
