"""A group whose every member reads all of its topics for itself, such as who answers questions from memory.

State is in memory alone and built up again from the oldest record; topics that are read so are compacted ones.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from collector.bus import embedded_log as log
from collector.bus.clock import BusClock
from collector.bus.embedded_consumer import EmbeddedState
from collector.bus.kafka_connection import KafkaConnection
from collector.bus.kafka_fetching import Place
from collector.bus.kafka_loop import LoopThread
from collector.bus.kafka_reader import KafkaReader
from collector.bus.protocol import Outgoing, StateChange

Publish = Callable[[Sequence[Outgoing]], "Future[None]"]
PUBLISH_SECONDS = 30.0


class KafkaEverywhere(KafkaReader):
    """Reads everything from the beginning; a commit publishes the outputs and keeps the changes in memory."""

    def __init__(
        self,
        loop: LoopThread,
        connection: KafkaConnection,
        places: Sequence[Place],
        clock: BusClock,
        group: str,
        publish: Publish,
    ) -> None:
        super().__init__(loop, connection, places, clock)
        self._group = group
        self._publish = publish
        self._memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._memory.executescript(log.STATE_SCHEMA)

    def start(self) -> None:
        """Connect, and begin at the oldest record."""
        self._do(self._begin_at_the_beginning(), "connecting")

    @property
    def state(self) -> EmbeddedState:
        """Give what was read so far."""
        return EmbeddedState(self._memory, self._group)

    def commit(
        self,
        outputs: Sequence[Outgoing] = (),
        changes: Sequence[StateChange] = (),
        offsets: bool = True,
    ) -> None:
        """Publish the outputs and keep the changes."""
        if outputs:
            self._publish(outputs).result(PUBLISH_SECONDS)
        log.change_state(self._memory, self._group, changes)
        if offsets:
            self._kept = dict(self._fetching.positions())

    def rewind(self) -> None:
        """Go back to where changes were last kept."""
        self._do(self._seek_all(), "going back")

    async def _begin_at_the_beginning(self) -> None:
        await self._fetching.start()
        self._kept = dict(await self._fetching.beginnings())
        await self._seek_all()

    async def _seek_all(self) -> None:
        for place, at in self._kept.items():
            self._fetching.seek(place, at)

    def close(self) -> None:
        """Disconnect, and forget."""
        super().close()
        self._memory.close()
