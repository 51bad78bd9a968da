"""How much of what senders brought is still to be read on Kafka: an estimate, from where groups are on the broker.

It is looked at on the bus's loop, at most every second and only while somebody asks; who asks is told what was seen
last and waits for nothing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from aiokafka.structs import TopicPartition

from collector.bus.drain_rate import DrainRate
from collector.bus.kafka_connection import KafkaConnection
from collector.bus.kafka_ends import KafkaEnds
from collector.bus.kafka_loop import LoopThread
from collector.bus.kafka_topics import KafkaTopics, Place

LOOK_SECONDS = 1.0


class KafkaBacklog:
    """Looks at what `groups` have still to read. `record_bytes` gives what a record of a topic takes on average.

    Groups that have committed nothing yet are not counted: they may be none of this deployment.
    """

    def __init__(
        self,
        loop: LoopThread,
        connection: KafkaConnection,
        topics: KafkaTopics,
        known_ends: KafkaEnds,
        groups: Collection[str],
        places: Sequence[Place],
        record_bytes: Callable[[str], float],
    ) -> None:
        self._loop = loop
        self._connection = connection
        self._topics = topics
        self._groups = groups
        self._places = places
        self._record_bytes = record_bytes
        self._known_ends = known_ends
        self._read_to: Mapping[Place, int] = {}
        self._drain = DrainRate()
        self._unread = 0
        self._looked = 0.0

    def unread_bytes(self) -> int:
        """Give what was seen last, and have it looked at again where that was a while ago."""
        now = time.monotonic()
        if self._groups and now - self._looked > LOOK_SECONDS:
            self._looked = now
            self._loop.submit(self._look())
        return self._unread

    def drained_bytes_a_second(self) -> float:
        """Say how fast the slowest group reads, as far as that was seen."""
        return self._drain.bytes_a_second()

    async def _look(self) -> None:
        with contextlib.suppress(Exception):  # what is wrong with the broker shows where it is written
            ends = await self._ends()
            slowest: dict[Place, int] = {}
            for group in self._groups:
                for place, one in (await self._topics.committed(group, self._places)).items():
                    slowest[place] = min(slowest.get(place, one.offset), one.offset)
            self._saw(ends, slowest)

    def _saw(self, ends: Mapping[Place, int], slowest: Mapping[Place, int]) -> None:
        unread = sum(max(0, ends[place] - read_to) * self._record_bytes(place[0]) for place, read_to in slowest.items())
        read = sum(
            (read_to - self._read_to.get(place, read_to)) * self._record_bytes(place[0])
            for place, read_to in slowest.items()
        )
        self._read_to = slowest
        self._drain.saw(time.monotonic(), read, unread)
        self._unread = int(unread)

    async def _ends(self) -> Mapping[Place, int]:
        on_broker = self._connection.on_broker
        wanted = {TopicPartition(on_broker(topic), part): (topic, part) for topic, part in self._places}
        return {wanted[partition]: end for partition, end in (await self._known_ends.of(list(wanted))).items()}
