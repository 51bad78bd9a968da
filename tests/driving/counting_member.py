"""A member of the counting group as a process of its own: `BOOTSTRAP PREFIX PLACE`.

It says on standard output where it is. At PLACE, which is a method of aiokafka's producer, it says so and stands still
before or after it, to be killed there; with `handle` it takes a while to handle its first batch, to be stopped there.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from aiokafka import AIOKafkaProducer
from counting_stage import Counting

from collector.bus.kafka import KafkaBus
from collector.bus.kafka_connection import KafkaConnection
from collector.bus.protocol import Batch, Handled, State
from collector.stage_task import StageTask
from collector.stages import StageThread

SESSION_SECONDS = 2.0
SLOW_SECONDS = 5.0


def say(what: str) -> None:
    """Tell whoever started this."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def stand_still(when: str, method: str) -> None:
    """Have every producer stop for good before or after one of its methods."""
    original = getattr(AIOKafkaProducer, method)

    async def stopping(self: AIOKafkaProducer, *arguments: Any, **named: Any) -> Any:
        if when == "after":
            await original(self, *arguments, **named)
            await self.flush()
        say("here")
        await asyncio.sleep(3600)

    setattr(AIOKafkaProducer, method, stopping)


class Slow(Counting):
    """Says when it has a batch, and takes its time."""

    def handle(self, batch: Batch, state: State) -> Handled:
        """Count, slowly."""
        handled = super().handle(batch, state)
        if batch.records:
            say("here")
            time.sleep(SLOW_SECONDS)
        return handled


def tell_of_fencing() -> None:
    """Say when a commit is refused because another member has the task."""
    original = StageTask.round

    def telling(self: StageTask, timeout_seconds: float) -> None:
        try:
            original(self, timeout_seconds)
        except Exception as error:
            say(type(error).__name__.lower())
            raise

    StageTask.round = telling  # type: ignore[method-assign]  # this program is only for tests


def main(bootstrap: str, prefix: str, place: str) -> None:
    """Work until killed."""
    when, _, method = place.partition("-")
    if method:
        stand_still(when, method)
    tell_of_fencing()
    bus = KafkaBus(KafkaConnection(bootstrap, prefix, session_seconds=SESSION_SECONDS), replication=1)
    thread = StageThread("counting", Slow if place == "handle" else Counting, bus, say)
    thread.start()
    thread.join(3600)


if __name__ == "__main__":
    main(*sys.argv[1:])
