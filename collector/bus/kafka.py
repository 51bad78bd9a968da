"""The bus on Kafka: durable where all replicas in step have a record, exactly once by Kafka's own transactions.

All Kafka I/O of a bus is on one event loop in one thread. Work is split as Kafka Streams splits it: a group has one
task per partition number, which reads that partition of all the group's topics, with state and a transactional id of
its own (`kafka_task.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import Future

from collector.bus.clock import BusClock
from collector.bus.drain_rate import FIRST_BYTES_A_SECOND
from collector.bus.kafka_connection import KafkaConnection
from collector.bus.kafka_loop import LoopThread
from collector.bus.kafka_publisher import Publisher
from collector.bus.kafka_reader import KafkaReader
from collector.bus.kafka_task import KafkaTask
from collector.bus.kafka_topics import KafkaTopics
from collector.bus.protocol import BusError, BusUnavailable, Outgoing
from schemas.metrics import BUS_CLOCK_AHEAD
from schemas.topics import TOPICS, Topic, changelog_of

FRAMING_BYTES = 4096
"""What a record may take beside its value: key, headers, and what Kafka puts around it."""
CLUSTER_DEFAULT = -1


class KafkaBus:
    """A bus on a cluster whose topics are there. `replication` is for changelogs, which are made when first needed."""

    def __init__(
        self, connection: KafkaConnection, topics: Sequence[Topic] = TOPICS, replication: int = CLUSTER_DEFAULT
    ) -> None:
        self._connection = connection
        self._replication = replication
        self._loop = LoopThread()
        self._topics = KafkaTopics(connection)
        self._clock = BusClock(0)
        BUS_CLOCK_AHEAD.set_function(self._clock.ahead_seconds)
        try:
            self._loop.run(self._open(topics))
        except BaseException:
            self._loop.run(self._topics.close())
            self._loop.close()
            raise

    # --- the protocol ---

    @property
    def trouble(self) -> str:
        """Say why nothing can be published now; empty where it can."""
        return self._publisher.trouble

    def publish(self, records: Sequence[Outgoing]) -> Future[None]:
        """Append records; see `Bus.publish`. Each is durable by itself: others may be when one of them fails."""
        return self._publisher.publish(records)

    def consumer(self, group: str, topics: Sequence[str]) -> KafkaTask:
        """Take a group over that has one task; see `Bus.consumer`."""
        if any(self.partitions(topic) != 1 for topic in topics):
            raise BusError(f"{group} reads topics of several partitions: it is served task by task")
        self._keep_changelog(group, 1)
        return self.task(group, topics, 0)

    def task(self, group: str, topics: Sequence[str], number: int) -> KafkaTask:
        """Begin a task, whoever had it before; returns when its state is restored."""
        loop, connection = self._loop, self._connection
        limit = changelog_of(group).max_message_bytes
        task = KafkaTask(loop, connection, self._topics, self._clock, group, topics, number, self.partitions, limit)
        task.begin()
        return task

    def reader(self, topics: Sequence[str]) -> KafkaReader:
        """Read without a group; see `Bus.reader`."""
        places = [(topic, part) for topic in topics for part in range(self.partitions(topic))]
        reader = KafkaReader(self._loop, self._connection, places, self._clock)
        reader.start()
        return reader

    def partitions(self, topic: str) -> int:
        """Say how many partitions a topic has."""
        return self._partitions[topic]

    def max_record_bytes(self, topic: str) -> int:
        """Say how large the value of a record may be."""
        return self._limits[topic] - FRAMING_BYTES

    def now_ns(self) -> int:
        """Bus time now."""
        return self._clock.now_ns()

    def backlog_bytes(self) -> int:
        """Estimate what is still to be read; see `Bus.backlog_bytes`."""
        return 0

    def drained_bytes_a_second(self) -> float:
        """Say how fast it is read; see `Bus.drained_bytes_a_second`: not measured, as no backlog is."""
        return FIRST_BYTES_A_SECOND

    def retain_for(self, readers: Collection[str]) -> None:
        """Leave retention to Kafka, which keeps records for their time whoever has read them."""

    def close(self) -> None:
        """Deliver what was accepted, then disconnect."""
        self._loop.run(self._publisher.close())
        self._loop.run(self._topics.close())
        self._loop.close()

    # --- opening ---

    async def _open(self, topics: Sequence[Topic]) -> None:
        await self._topics.start()
        self._partitions = dict(await self._topics.partitions())
        missing = [self._connection.on_broker(topic.name) for topic in topics if topic.name not in self._partitions]
        if missing:
            raise BusUnavailable(
                f"Kafka on {self._connection.brokers} has no topics {', '.join(missing)}: run `tracemend topics create`"
            )
        found = await self._topics.describe(topics)
        self._limits = {name: int(one.settings["max.message.bytes"]) for name, one in found.items()}
        self._publisher = Publisher(
            self._loop, self._connection, self.partitions, self._limits.__getitem__, max(self._limits.values())
        )
        await self._publisher.start()

    def _keep_changelog(self, group: str, partitions: int) -> None:
        """Make sure that a group has a changelog, with a partition for each of its tasks."""
        changelog = changelog_of(group)
        there = self._partitions.get(changelog.name)
        if there is None:
            self._loop.run(self._topics.create([changelog], partitions, self._replication))
            self._partitions[changelog.name] = partitions
        elif there != partitions:
            raise BusUnavailable(
                f"the changelog {self._connection.on_broker(changelog.name)} has {there} partitions and the topics of "
                f"{group} have {partitions}: see `tracemend topics check`"
            )
