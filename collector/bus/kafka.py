"""The bus on Kafka: durable where all replicas in step have a record, exactly once by Kafka's own transactions.

All Kafka I/O of a bus is on one event loop in one thread. Work is split as Kafka Streams splits it: a group has one
task per partition number, which reads that partition of all the group's topics, with state and a transactional id of
its own (`kafka_task.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from weakref import WeakSet

from collector.bus.backlog import BROUGHT
from collector.bus.clock import BusClock
from collector.bus.kafka_backlog import KafkaBacklog
from collector.bus.kafka_changelog import Changelog
from collector.bus.kafka_connection import KafkaConnection
from collector.bus.kafka_ends import KafkaEnds
from collector.bus.kafka_everywhere import KafkaEverywhere
from collector.bus.kafka_fetching import Place
from collector.bus.kafka_group_lag import KafkaGroupLag
from collector.bus.kafka_loop import LoopThread
from collector.bus.kafka_membership import Membership
from collector.bus.kafka_publisher import Publisher
from collector.bus.kafka_reader import KafkaReader
from collector.bus.kafka_task import KafkaTask
from collector.bus.kafka_tasks import KafkaTasks, Task
from collector.bus.kafka_topics import KafkaTopics
from collector.bus.kafka_transactions import Transactions
from collector.bus.protocol import BusError, BusUnavailable, Outgoing, Tasks
from collector.bus.whole_group import WholeGroup
from schemas.metrics import BUS_CLOCK_AHEAD
from schemas.topics import DEAD_LETTERS, TOPICS, Topic, changelog_of

FRAMING_BYTES = 4096
"""What a record may take beside its value: key, headers, and what Kafka puts around it."""


class KafkaBus:
    """A bus on a cluster whose topics are there.

    `replication` is for changelogs, which are made when first needed; `readers` are the groups whose backlog counts.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        topics: Sequence[Topic] = TOPICS,
        replication: int = 0,
        readers: Collection[str] = (),
    ) -> None:
        self._connection = connection
        self._replication = replication
        self._readers = readers
        self._loop = LoopThread()
        self._topics = KafkaTopics(connection)
        self._ends = KafkaEnds(connection)
        self._given: WeakSet[KafkaReader] = WeakSet()
        """Readers and tasks that may be open; those that are when the bus closes are closed with it."""
        self._clock = BusClock(0)
        BUS_CLOCK_AHEAD.set_function(self._clock.ahead_seconds)
        try:
            self._loop.run(self._open(topics))
            for lag in self._lags:
                lag.start()
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
        if self._tasks_of(group, topics) != 1:
            raise BusError(f"{group} reads topics of several partitions: it is served task by task")
        task = self._task(group, topics, 0)
        task.begin()
        return task

    def tasks(self, group: str, topics: Sequence[str], everywhere: bool = False, at_least_once: bool = False) -> Tasks:
        """Join a group; see `Bus.tasks`. One that needs no transaction is served as a FastStream application."""
        if everywhere:
            return WholeGroup(lambda: self._everywhere(group, topics))
        membership, make = self._served(group, topics) if at_least_once else self._transacted(group, topics)
        membership.join()
        lag = self._lag_of(group, topics)
        lag.start()
        return KafkaTasks(self._loop, membership, lag, make)

    def reader(self, topics: Sequence[str]) -> KafkaReader:
        """Read without a group; see `Bus.reader`."""
        reader = KafkaReader(self._loop, self._connection, self._places(topics), self._clock)
        self._given.add(reader)
        reader.start()
        return reader

    def partitions(self, topic: str) -> int:
        """Say how many partitions a topic has."""
        return self._partitions[topic]

    def max_record_bytes(self, topic: str) -> int:
        """Say how large the value of a record may be."""
        return self._limits[topic] - FRAMING_BYTES

    def committed(self, group: str, topics: Sequence[str]) -> Mapping[Place, int]:
        """Say where a group goes on, in the partitions where it has committed anything."""
        found = self._loop.run(self._topics.committed(group, self._places(topics)))
        return {place: one.offset for place, one in found.items()}

    def now_ns(self) -> int:
        """Bus time now."""
        return self._clock.now_ns()

    def backlog_bytes(self) -> int:
        """Estimate what is still to be read; see `Bus.backlog_bytes`. It is a second old, or two."""
        return self._backlog.unread_bytes()

    def drained_bytes_a_second(self) -> float:
        """Say how fast it is read; see `Bus.drained_bytes_a_second`."""
        return self._backlog.drained_bytes_a_second()

    def retain_for(self, readers: Collection[str]) -> None:
        """Leave retention to Kafka, which keeps records for their time whoever has read them."""

    def close(self) -> None:
        """Deliver what was accepted, then disconnect."""
        self._loop.run(self._publisher.close())
        for lag in self._lags:
            lag.stop()
        for reader in list(self._given):
            reader.close()
        self._loop.run(self._ends.close())
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
        self._backlog = KafkaBacklog(
            self._loop,
            self._connection,
            self._topics,
            self._ends,
            self._readers,
            self._places([topic for topic in BROUGHT if topic in self._limits]),
            self._publisher.record_bytes,
        )
        self._lags = [self._lag_of(group, BROUGHT, is_ours=False) for group in self._readers]

    def _lag_of(self, group: str, topics: Sequence[str], is_ours: bool = True) -> KafkaGroupLag:
        places = self._places([topic for topic in topics if topic in self._limits])
        return KafkaGroupLag(self._loop, self._connection, self._topics, self._ends, group, places, is_ours)

    def _places(self, topics: Sequence[str]) -> Sequence[Place]:
        return [(topic, part) for topic in topics for part in range(self.partitions(topic))]

    def _everywhere(self, group: str, topics: Sequence[str]) -> KafkaEverywhere:
        reader = KafkaEverywhere(
            self._loop, self._connection, self._places(topics), self._clock, group, self._publisher.publish
        )
        self._given.add(reader)
        reader.start()
        return reader

    def _task(self, group: str, topics: Sequence[str], number: int) -> KafkaTask:
        kept = changelog_of(group)
        changelog = Changelog(self._connection, self._ends, group, kept.name, number)
        name = self._connection.on_broker(f"{group}-{number}")
        transactions = Transactions(self._connection, name, kept.max_message_bytes)
        where = [(topic, number) for topic in topics]
        task = KafkaTask(
            self._loop,
            self._connection,
            self._topics,
            self._clock,
            group,
            where,
            self.partitions,
            transactions,
            changelog,
        )
        self._given.add(task)
        return task

    def _transacted(self, group: str, topics: Sequence[str]) -> tuple[Membership, Callable[[int], Task]]:
        self._tasks_of(group, topics)
        membership = Membership(self._loop, self._connection, group, topics)
        return membership, lambda number: self._task(group, topics, number)

    def _served(self, group: str, topics: Sequence[str]) -> tuple[Membership, Callable[[int], Task]]:
        from collector.bus.kafka_application import Application

        application = Application(
            self._loop,
            self._connection,
            self._topics,
            self._ends,
            self._clock,
            group,
            topics,
            self.partitions,
            self._limits[DEAD_LETTERS],
        )
        return application, application.task

    def _tasks_of(self, group: str, topics: Sequence[str]) -> int:
        """Say how many tasks a group has, and make sure that each has a partition of a changelog."""
        changelog = changelog_of(group)
        if changelog.name not in self._partitions:
            self._loop.run(self._topics.create([changelog], self.partitions(topics[0]), self._replication))
            self._partitions = {**self._loop.run(self._topics.partitions())}
        counts = {topic: self._partitions[topic] for topic in (*topics, changelog.name)}
        if len(set(counts.values())) != 1:
            raise BusUnavailable(
                f"the topics of the group {group} have to have the same number of partitions, and they have {counts}: "
                "see `tracemend topics check`"
            )
        return counts[changelog.name]
