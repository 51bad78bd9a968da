"""One task of a group: a partition number, of all the group's topics; every step of it is one Kafka transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from aiokafka.structs import OffsetAndMetadata, TopicPartition

from collector.bus.clock import BusClock
from collector.bus.embedded_consumer import EmbeddedState
from collector.bus.kafka_changelog import Changelog
from collector.bus.kafka_connection import KafkaConnection
from collector.bus.kafka_errors import sorted_error
from collector.bus.kafka_fetching import Place
from collector.bus.kafka_loop import LoopThread
from collector.bus.kafka_reader import KafkaReader, behind
from collector.bus.kafka_records import Sent, to_send
from collector.bus.kafka_topics import KafkaTopics
from collector.bus.kafka_transactions import Transactions
from collector.bus.protocol import Batch, Outgoing, Range, StateChange


class KafkaTask(KafkaReader):
    """Reads one partition of each topic, and commits outputs, state and offsets together.

    Whoever begins it last has it: the members before are fenced by the transactional id.
    """

    def __init__(
        self,
        loop: LoopThread,
        connection: KafkaConnection,
        topics: KafkaTopics,
        clock: BusClock,
        group: str,
        places: Sequence[Place],
        partitions: Callable[[str], int],
        transactions: Transactions,
        changelog: Changelog,
    ) -> None:
        super().__init__(loop, connection, places, clock)
        self._places = places
        self._connection = connection
        self._topics = topics
        self._group = group
        self._partitions = partitions
        self._transactions = transactions
        self._changelog = changelog
        self._committed: dict[Place, int] = {}
        self._read_times: dict[Place, int] = {}
        self._open = False
        """Whether records were polled since the last commit."""
        self._not_found: Exception | None = None
        self._begun = False
        self._settled = False
        """Whether what is kept here is what Kafka has committed."""

    def begin(self) -> None:
        """Become the one that has this task, and restore its state; raises BusUnavailable."""
        self._do(self._fetching.start(), "connecting")
        self._do(self._settle(), f"taking over {self._group}")
        self._begun = True

    @property
    def is_open(self) -> bool:
        """Say whether this was begun and not closed since."""
        return self._begun

    async def look(self, timeout_seconds: float) -> None:
        """Return when there is something to poll, or the time is over. To be called on the bus's loop.

        From then on a poll that is not to wait takes what this found.
        """
        self._is_looked_after = True
        try:
            await self._fetching.look(timeout_seconds)
        except Exception as error:  # noqa: BLE001  # raised by the poll
            self._not_found = error

    @property
    def restore_left(self) -> int:
        """Count the records of state still to be read before this begins."""
        return self._changelog.left

    @property
    def state(self) -> EmbeddedState:
        """Give the task's keyed state."""
        return self._changelog.state

    def poll(self, max_records: int = 500, max_bytes: int = 8_388_608, timeout_seconds: float = 0.5) -> Batch:
        """Wait for records; see `Consumer.poll`."""
        error, self._not_found = self._not_found, None
        if error is not None:
            raise sorted_error(error, f"reading as {self._group}") from error
        return self._taken(super().poll(max_records, max_bytes, timeout_seconds))

    def poll_again(self, ranges: Sequence[Range]) -> Batch:
        """Read exactly these records; see `Consumer.poll_again`."""
        return self._taken(super().poll_again(ranges))

    def commit(
        self, outputs: Sequence[Outgoing] = (), changes: Sequence[StateChange] = (), offsets: bool = True
    ) -> None:
        """Commit; see `Consumer.commit`."""
        positions = self._fetching.positions() if offsets and self._open else {}
        moved = {place: at for place, at in positions.items() if at != self._committed[place]}
        if not (outputs or changes or moved):
            return
        try:
            self._do(self._commit(outputs, changes, moved), f"committing as {self._group}")
        except BaseException:
            self._settled = False
            raise
        self._committed.update(moved)
        self._open = self._open and not offsets

    def rewind(self) -> None:
        """Go back to the last commit."""
        if self._settled:
            self._do(self._go_back(), "going back")
        else:
            self._do(self._settle(), f"taking {self._group} up again")

    def lag(self) -> Mapping[str, int]:
        """Count per topic the records not yet committed; ends of transactions that were passed are none."""
        return behind(self._fetching.ends(), self._committed if self._open else self._fetching.positions())

    def close(self) -> None:
        """Let go of the task."""
        self._begun = False
        super().close()

    def _taken(self, batch: Batch) -> Batch:
        for record in batch.records:
            self._read_times[record.topic, record.partition] = record.append_ns
        self._open = self._open or bool(batch.records)
        return batch

    async def _commit(
        self, outputs: Sequence[Outgoing], changes: Sequence[StateChange], moved: Mapping[Place, int]
    ) -> None:
        records = [self._to_send(record) for record in outputs]
        kept = self._changelog.to_send(changes)
        placed = await self._transactions.commit(
            [*records, *kept],
            {self._on_broker(place): OffsetAndMetadata(at, self._read_time(place)) for place, at in moved.items()},
            self._connection.on_broker(self._group),
        )
        self._changelog.apply(changes, max((one.offset for one in placed[len(records) :]), default=-1))

    async def _settle(self) -> None:
        """Fence those before, then read what they committed: offsets and state."""
        await self._transactions.begin()
        found = await self._topics.committed(self._group, self._places)
        oldest = await self._fetching.beginnings()
        self._committed = {place: found[place].offset if place in found else oldest[place] for place in self._places}
        for place, committed in found.items():
            self._read_times[place] = committed.append_ns
            self._fetching.beginning_at(place, committed.append_ns)
        self._latest_ns = max([self._latest_ns, *(committed.append_ns for committed in found.values())])
        await self._changelog.restore()
        await self._fetching.look_for_ends()
        await self._go_back()
        self._settled = True

    async def _go_back(self) -> None:
        for place, at in self._committed.items():
            self._fetching.seek(place, at)
        self._open = False

    async def _close(self) -> None:
        await self._transactions.close()
        self._changelog.close()
        await super()._close()

    def _to_send(self, record: Outgoing) -> Sent:
        return to_send(record, self._connection.on_broker(record.topic), self._partitions(record.topic))

    def _on_broker(self, place: Place) -> TopicPartition:
        return TopicPartition(self._connection.on_broker(place[0]), place[1])

    def _read_time(self, place: Place) -> str:
        """Keep the append time of what was read last with the offset, so that time goes on from there."""
        return str(self._read_times.get(place, 0))
