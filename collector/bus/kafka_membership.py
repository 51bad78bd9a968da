"""Membership of a consumer group: which task numbers are this member's, and handing them over when they are not.

The group is joined with Kafka's own protocol and range assignment, so that a member has the same partitions of each
topic. Nothing is read here: tasks fetch for themselves. Before a rebalance goes on, it waits (for so long) until this
member has committed what it was at; that a member which did not make it commits nothing later is for fencing to see to.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection, Iterable, Sequence

from aiokafka import AIOKafkaConsumer
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.structs import TopicPartition

from collector.bus.kafka_connection import KafkaConnection
from collector.bus.kafka_errors import sorted_error
from collector.bus.kafka_loop import LoopThread

LOOK_SECONDS = 1.0
JOIN_SECONDS = 60.0
REBALANCE_SECONDS, HAND_OVER_SECONDS = 60.0, 30.0
LONGEST_BATCH_SECONDS = 300.0
"""A member that has not asked for its tasks for so long leaves the group: it is stuck."""


class Membership(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """A member of a group; asked from the one thread that works the tasks."""

    def __init__(self, loop: LoopThread, connection: KafkaConnection, group: str, topics: Sequence[str]) -> None:
        self._loop = loop
        self._connection = connection
        self._group = connection.on_broker(group)
        self._topics = [connection.on_broker(topic) for topic in topics]
        self._mine: frozenset[int] | None = None
        self._handed_over = asyncio.Event()
        self._looked = 0.0

    def join(self) -> None:
        """Join; the tasks come when the members that are there have handed theirs over. Raises BusUnavailable."""
        try:
            self._loop.run(self._join())
        except Exception as error:
            raise sorted_error(error, f"joining the group {self._group}") from error

    def mine(self) -> Collection[int] | None:
        """Give this member's tasks; see `Tasks.mine`. Raises BusUnavailable where the group lets nobody in."""
        if self._mine is None:
            self._loop.loop.call_soon_threadsafe(self._handed_over.set)
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._looked = time.monotonic()
            try:
                self._loop.run(self._look())
            except Exception as error:
                raise sorted_error(error, f"being a member of {self._group}") from error
        return self._mine

    def leave(self) -> None:
        """Leave the group, so that others have the tasks at once; a static member keeps its place for a while."""
        self._loop.loop.call_soon_threadsafe(self._handed_over.set)
        self._loop.run(self._leave())

    # --- on the loop ---

    async def _join(self) -> None:
        seconds = self._connection.session_seconds
        self._consumer = AIOKafkaConsumer(
            group_id=self._group,
            group_instance_id=self._connection.instance(self._group),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            partition_assignment_strategy=(RangePartitionAssignor,),
            session_timeout_ms=int(seconds * 1000),
            heartbeat_interval_ms=int(seconds * 1000 / 4),
            rebalance_timeout_ms=int(REBALANCE_SECONDS * 1000),
            max_poll_interval_ms=int(LONGEST_BATCH_SECONDS * 1000),
            **self._connection.options(),
        )
        self._consumer.subscribe(self._topics, listener=self)
        async with asyncio.timeout(JOIN_SECONDS):
            await self._consumer.start()

    async def _look(self) -> None:
        """Tell the group that this member goes on, and raise what keeps it out."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS / 4):
                await self._consumer.getmany(timeout_ms=0)

    async def _leave(self) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(LOOK_SECONDS * 5):
                await self._consumer.stop()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002  # all of them are
        """Wait until the thread that works the tasks is between two commits."""
        self._handed_over.clear()
        had, self._mine = self._mine, None
        if had:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HAND_OVER_SECONDS):
                    await self._handed_over.wait()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Take over what is this member's now."""
        self._consumer.pause(*assigned)  # tasks fetch for themselves
        self._mine = self._numbers(assigned)

    def _numbers(self, assigned: Collection[TopicPartition]) -> frozenset[int]:
        """Give the numbers of which this member has the partition of each topic."""
        places = {(place.topic, place.partition) for place in assigned}
        numbers = {number for _, number in places}
        return frozenset(number for number in numbers if all((topic, number) in places for topic in self._topics))
