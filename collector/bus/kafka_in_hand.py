"""What a task has of its partitions between FastStream's consumer and its own commit, in the order it was written."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aiokafka.structs import TopicPartition

from collector.bus.protocol import Range, Record

Place = tuple[str, int]


class Start(NamedTuple):
    """Where a partition is read from, and where it ended then."""

    offset: int
    end: int


class InHand:
    """Records that wait to be polled, and those that were and are not committed. Lives on the bus's loop."""

    def __init__(self, places: Mapping[TopicPartition, Place]) -> None:
        self.next: dict[TopicPartition, int] = {}
        """The next offset that is not here yet, by partition."""
        self.committed: dict[TopicPartition, int] = {}
        self._waiting: dict[TopicPartition, deque[Record]] = {partition: deque() for partition in places}
        self._by_place = {place: partition for partition, place in places.items()}
        self._polled: list[Record] = []

    def begin(self, starts: Mapping[TopicPartition, Start]) -> None:
        """Begin with nothing, at these offsets."""
        self.clear()
        self.next = {partition: start.offset for partition, start in starts.items()}
        self.committed = dict(self.next)

    def clear(self) -> None:
        """Let go of everything."""
        self._polled.clear()
        for waiting in self._waiting.values():
            waiting.clear()

    def add(self, partition: TopicPartition, records: Sequence[Record], position: int) -> int:
        """Take over what was read up to a position; says how many wait now.

        What is here already is left out, and so is all of it where the consumer was sent back since it was read: then
        its position is not behind these records, and it reads on from there.
        """
        waiting = self._waiting[partition]
        if records[-1].offset < position:
            waiting.extend(record for record in records if record.offset >= self.next[partition])
            self.next[partition] = max(self.next[partition], position)
        return len(waiting)

    def take(self, max_records: int, max_bytes: int) -> list[Record]:
        """Take the oldest over all partitions; one at least."""
        taken: list[Record] = []
        size = 0
        while len(taken) < max_records and (size < max_bytes or not taken) and self.any_wait():
            head = min((one for one in self._waiting.values() if one), key=lambda one: one[0].append_ns)
            taken.append(head.popleft())
            size += len(taken[-1].value)
        self._polled += taken
        return taken

    def take_again(self, ranges: Sequence[Range]) -> list[Record]:
        """Take exactly these, after `go_back`."""
        found: list[Record] = []
        for topic, number, first, last in ranges:
            waiting = self._waiting[self._by_place[topic, number]]
            while waiting and first <= waiting[0].offset <= last:
                found.append(waiting.popleft())
        found.sort(key=lambda record: record.append_ns)
        self._polled += found
        return found

    def go_back(self) -> None:
        """Have what was polled wait again."""
        for record in reversed(self._polled):
            self._waiting[self._by_place[record.topic, record.partition]].appendleft(record)
        self._polled.clear()

    def reached(self) -> Mapping[TopicPartition, int]:
        """Say which offsets are to be committed for what was polled."""
        read = {self._by_place[record.topic, record.partition] for record in self._polled}
        return {one: self._waiting[one][0].offset if self._waiting[one] else self.next[one] for one in read}

    def commit(self, reached: Mapping[TopicPartition, int]) -> None:
        """Note that this was committed."""
        self.committed.update(reached)
        self._polled.clear()

    def any_wait(self) -> bool:
        """Say whether there is anything to take."""
        return any(self._waiting.values())

    def taken_up(self) -> Sequence[TopicPartition]:
        """List the partitions of which nothing waits."""
        return [partition for partition, waiting in self._waiting.items() if not waiting]

    def has(self, partition: TopicPartition) -> bool:
        """Say whether anything of a partition is here, polled or not."""
        return bool(self._waiting[partition]) or any(
            self._by_place[record.topic, record.partition] == partition for record in self._polled
        )
