"""A group on Kafka whose work needs no transaction, served as a FastStream application; see README.md for why.

A batch subscriber brings records to the tasks that they belong to, acknowledges by hand what a task has committed, and
a publisher puts aside what can never be handled. Joining the group and handing tasks over are as in `Membership`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.structs import ConsumerRecord, TopicPartition
from faststream import AckPolicy, FastStream

from collector.bus.clock import BusClock
from collector.bus.faststream_broker import LastError, headers_as_they_are, open_broker
from collector.bus.kafka_application_task import ApplicationTask
from collector.bus.kafka_connection import KafkaConnection
from collector.bus.kafka_ends import KafkaEnds
from collector.bus.kafka_in_hand import Start
from collector.bus.kafka_loop import LoopThread
from collector.bus.kafka_membership import (
    JOIN_SECONDS,
    LONGEST_BATCH_SECONDS,
    LOOK_SECONDS,
    REBALANCE_SECONDS,
    Membership,
)
from collector.bus.kafka_topics import KafkaTopics
from collector.bus.murmur2 import partition_of
from collector.bus.protocol import Outgoing
from schemas.topics import DEAD_LETTERS

AT_ONCE = 20
FETCH_BYTES = 256 * 1024
"""What is asked of a partition at once: what was fetched of one that is then paused is fetched again."""
POLL_MS = 100
STOP_SECONDS = 5.0


class Application(Membership):
    """A member of a group that is a FastStream application; its tasks are made by `task`.

    `partitions` says how many a topic has, `largest_bytes` how large a record put aside may be.
    """

    def __init__(
        self,
        loop: LoopThread,
        connection: KafkaConnection,
        admin: KafkaTopics,
        ends: KafkaEnds,
        clock: BusClock,
        group: str,
        topics: Sequence[str],
        partitions: Callable[[str], int],
        largest_bytes: int,
    ) -> None:
        super().__init__(loop, connection, group, topics)
        self._admin, self._ends, self._clock = admin, ends, clock
        self._name, self._read = group, topics
        self._partitions = partitions
        self._tasks: dict[int, ApplicationTask] = {}
        self._asked = time.monotonic()
        self._watching: asyncio.Task[None] | None = None
        self._log = LastError()
        broker = open_broker(connection, largest_bytes, self._log)
        self._dead_letters = broker.publisher(connection.on_broker(DEAD_LETTERS), batch=True)
        self._subscriber = broker.subscriber(
            *self._topics,
            batch=True,
            max_records=AT_ONCE,
            batch_timeout_ms=POLL_MS,
            group_id=self._group,
            group_instance_id=connection.instance(group),
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            partition_assignment_strategy=(RangePartitionAssignor,),
            session_timeout_ms=int(connection.session_seconds * 1000),
            heartbeat_interval_ms=int(connection.session_seconds * 1000 / 4),
            rebalance_timeout_ms=int(REBALANCE_SECONDS * 1000),
            max_partition_fetch_bytes=FETCH_BYTES,
            listener=self,
        )
        self._subscriber(self._received)
        self._app = FastStream(broker, logger=None)

    def task(self, number: int) -> ApplicationTask:
        """Make the task of a partition number, in place of the one there was."""
        places = {
            TopicPartition(topic, number): (here, number) for topic, here in zip(self._topics, self._read, strict=True)
        }
        self._tasks[number] = ApplicationTask(self._loop, self._clock, self._name, places, self)
        return self._tasks[number]

    # --- what tasks ask for ---

    @property
    def consumer(self) -> AIOKafkaConsumer | None:
        """Give FastStream's consumer; None while there is none."""
        return self._subscriber.consumer

    @property
    def trouble(self) -> Exception | None:
        """Give what goes wrong, after which FastStream tries again."""
        return self._log.trouble

    async def starts(self, places: Mapping[TopicPartition, tuple[str, int]]) -> Mapping[TopicPartition, Start]:
        """Say where the group goes on, and where each partition ends."""
        committed = await self._admin.committed(self._name, list(places.values()))
        oldest, ends = await self._ends.beginnings(list(places)), await self._ends.of(list(places))
        found = {}
        for partition, place in places.items():
            at = committed[place].offset if place in committed else -1
            inside = oldest[partition] <= at <= ends[partition]
            found[partition] = Start(at if inside else oldest[partition], ends[partition])
        return found

    async def put_aside(self, letter: Outgoing) -> None:
        """Publish a dead letter; it is durable on return. As a batch of one, which gets no headers but its own."""
        await self._dead_letters.publish(
            letter.value,
            key=letter.key.encode() or None,
            partition=partition_of(letter.key, self._partitions(letter.topic)),
            headers=headers_as_they_are(letter.headers),
        )

    # --- FastStream's side ---

    async def _received(self, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        """Bring records to their tasks; those of none are read again by whoever begins it."""
        by_partition: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]] = {}
        for record in records:
            by_partition.setdefault(TopicPartition(record.topic, record.partition), []).append(record)
        try:
            for partition, found in by_partition.items():
                task = self._tasks.get(partition.partition)
                if task is not None:
                    await task.put(partition, found)
        except BaseException:
            self._lose_all()  # FastStream passes a batch that failed: nothing after it may be acknowledged
            raise

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Take over what is this member's now; tasks that stay go on where nobody else had them meanwhile."""
        mine = self._numbers(assigned)
        for number, task in self._tasks.items():
            await task.go_on(number in mine)
        self._mine = mine

    # --- joining and leaving ---

    async def _join(self) -> None:
        self._asked = time.monotonic()
        try:
            async with asyncio.timeout(JOIN_SECONDS):
                await self._app.start()
        except BaseException:
            await self._stop()
            raise
        self._watching = asyncio.create_task(self._watch())

    async def _look(self) -> None:
        """Note that whoever works the tasks goes on; join again where that was in doubt."""
        self._asked = time.monotonic()
        if self.consumer is None:
            await self._join()

    async def _leave(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        await self._stop()

    async def _stop(self) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(STOP_SECONDS):
                await self._app.stop()

    async def _watch(self) -> None:
        """Leave the group once nobody has asked for the tasks for too long: FastStream polls on, whoever is stuck."""
        while time.monotonic() - self._asked < LONGEST_BATCH_SECONDS:
            await asyncio.sleep(LOOK_SECONDS)
        self._mine = None
        self._lose_all()
        self._handed_over.set()  # or a rebalance that waits for that keeps this from leaving
        while self.consumer is not None:
            await self._stop()
        self._mine = None  # what a rebalance gave on the way out

    def _lose_all(self) -> None:
        for task in self._tasks.values():
            task.lose()
