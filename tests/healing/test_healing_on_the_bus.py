"""Router and consumer on the real bus: one commit for state, policies and outcomes, and nothing twice."""

from __future__ import annotations

import time
from pathlib import Path

import orjson
from healing_world import detection

from collector.bus.embedded import EmbeddedBus
from collector.bus.protocol import Consumer, Outgoing, Stage
from healing.consumer import HealingConsumer
from healing.gate import GateSettings
from healing.router import HealingRouter
from schemas.topics import DETECTIONS, HEALING_OUTCOMES, POLICIES


def work(stage: Stage, consumer: Consumer, commit: bool = True) -> int:
    stage.restore(consumer.state)
    batch = consumer.poll(timeout_seconds=0.2)
    handled = stage.handle(batch, consumer.state)
    if commit:
        consumer.commit(handled.outputs, handled.changes)
    return len(batch.records)


def test_a_crash_before_the_commit_heals_once(tmp_path: Path) -> None:
    bus = EmbeddedBus(tmp_path / "bus", fsync=False)
    value = orjson.dumps(detection(time.time_ns()))
    bus.publish([Outgoing(DETECTIONS, "default/run", value)]).result(5)
    work(HealingRouter(), bus.consumer("healing_router", HealingRouter.topics))
    work(HealingConsumer(GateSettings()), bus.consumer("healing", HealingConsumer.topics), commit=False)
    bus.close()

    bus = EmbeddedBus(tmp_path / "bus", fsync=False)
    consumer = bus.consumer("healing", HealingConsumer.topics)
    assert work(HealingConsumer(GateSettings()), consumer) == 1
    assert work(HealingConsumer(GateSettings()), consumer) == 0
    said = bus.consumer("test", [POLICIES, HEALING_OUTCOMES]).poll(timeout_seconds=0.2).records
    assert sorted(record.topic for record in said) == [HEALING_OUTCOMES, POLICIES]
    bus.close()
