"""What was fetched of some partitions and not yet taken: bounded, and handed out oldest first over all of them.

aiokafka fetches a partition again only once what it fetched before was taken over here, and that only happens once
what is here was taken: so a slow reader holds two fetches of each partition and the rest waits on the broker.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from collector.bus.kafka_connection import KafkaConnection
from collector.bus.kafka_records import received
from collector.bus.protocol import BusUnavailable, Range, Record

FETCH_BYTES = 1024 * 1024
LONGEST_FETCH_MS = 500
"""How long a fetch waits on the broker for something to come; a seek waits for the one that is under way."""
ORDERING_SECONDS = 0.05
"""How long records of one partition wait for those of another that is known to have some."""
AGAIN_SECONDS = 30.0
Place = tuple[str, int]


class Fetching:
    """Reads partitions from positions that it is told. Lives on the bus's loop."""

    def __init__(self, connection: KafkaConnection, places: Sequence[Place]) -> None:
        self._connection = connection
        self.places = places
        self._partitions = {TopicPartition(connection.on_broker(topic), part): (topic, part) for topic, part in places}
        self._by_place = {place: partition for partition, place in self._partitions.items()}
        self._is_made = False
        self._waiting: dict[Place, deque[Record]] = {place: deque() for place in places}
        self._next: dict[Place, int] = {}
        self._ends: dict[Place, int] = {}
        self._latest_ns: dict[Place, int] = {}

    async def start(self) -> None:
        """Connect, and learn where the partitions end."""
        self._consumer = AIOKafkaConsumer(
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=LONGEST_FETCH_MS,
            max_partition_fetch_bytes=FETCH_BYTES,
            **self._connection.options(),
        )
        self._is_made = True
        self._consumer.assign(list(self._partitions))
        await self._consumer.start()
        await self.look_for_ends()

    async def look_for_ends(self) -> None:
        """Ask where the partitions end now."""
        ends = await self._consumer.end_offsets(list(self._partitions))
        self._ends.update({self._partitions[partition]: end for partition, end in ends.items()})

    async def beginnings(self) -> Mapping[Place, int]:
        """Ask for the oldest record that each partition still has."""
        found = await self._consumer.beginning_offsets(list(self._partitions))
        return {self._partitions[partition]: offset for partition, offset in found.items()}

    async def close(self) -> None:
        """Disconnect."""
        if self._is_made:
            await self._consumer.stop()

    def ends(self) -> Mapping[Place, int]:
        """Say where each partition is known to end."""
        for partition, place in self._partitions.items():
            seen = self._consumer.last_stable_offset(partition)
            self._ends[place] = max(self._ends.get(place, 0), seen if seen is not None else 0)
        return self._ends

    def positions(self) -> Mapping[Place, int]:
        """Say what is taken next of each partition."""
        return {
            place: waiting[0].offset if waiting else self._next.get(place, 0)
            for place, waiting in self._waiting.items()
        }

    def seek(self, place: Place, offset: int) -> None:
        """Read on from an offset."""
        self._waiting[place].clear()
        self._consumer.seek(self._by_place[place], offset)
        self._next[place] = offset

    def beginning_at(self, place: Place, append_ns: int) -> None:
        """Let no record of a partition be older than what was read of it before."""
        self._latest_ns[place] = max(append_ns, self._latest_ns.get(place, 0))

    async def take(self, max_records: int, max_bytes: int, timeout_seconds: float) -> tuple[list[Record], bool]:
        """Wait for records; also say whether these were all there are."""
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        await self._fill(0.0)
        while True:
            left = deadline - asyncio.get_running_loop().time()
            if any(self._waiting.values()):
                await self._fill(min(ORDERING_SECONDS, max(0.0, left)) if self._behind() else 0.0)
                return self.take_what_is_here(max_records, max_bytes)
            if left <= 0:
                return [], not self._behind()
            await self._fill(left)

    async def look(self, timeout_seconds: float) -> None:
        """Return when there is something to take, or the time is over."""
        await self._fill(0.0 if any(self._waiting.values()) else timeout_seconds)

    def take_what_is_here(self, max_records: int, max_bytes: int) -> tuple[list[Record], bool]:
        """Take what `look` found; also say whether that is all there is.

        Alone of all this may be called beside the loop, while nothing else here is under way.
        """
        records = self._merged(max_records, max_bytes)
        return records, not any(self._waiting.values()) and not self._behind()

    async def take_again(self, ranges: Iterable[Range]) -> list[Record]:
        """Read these records, but for those that are gone; what was fetched beyond them is kept for later."""
        found: list[Record] = []
        for wanted in ranges:
            place = (wanted.topic, wanted.partition)
            self.seek(place, wanted.first)
            try:
                async with asyncio.timeout(AGAIN_SECONDS):
                    while self._next[place] <= wanted.last:
                        await self._fetch([place], 1.0)
            except TimeoutError as error:
                raise BusUnavailable(f"{wanted} could not be read again in {AGAIN_SECONDS:g} s") from error
            waiting = self._waiting[place]
            while waiting and waiting[0].offset <= wanted.last:
                found.append(waiting.popleft())
        found.sort(key=_append_ns)
        return found

    def _behind(self) -> Sequence[Place]:
        """List partitions of which nothing is here, though there is something to read."""
        ends = self.ends()
        return [place for place, waiting in self._waiting.items() if not waiting and self._next[place] < ends[place]]

    async def _fill(self, timeout_seconds: float) -> None:
        empty = [place for place, waiting in self._waiting.items() if not waiting]
        if empty:
            await self._fetch(empty, timeout_seconds)

    async def _fetch(self, places: Sequence[Place], timeout_seconds: float) -> None:
        wanted = [self._by_place[place] for place in places]
        fetched = await self._consumer.getmany(*wanted, timeout_ms=int(timeout_seconds * 1000))
        for partition, records in fetched.items():
            place = self._partitions[partition]
            for record in records:
                made = received(record, place[0], self._latest_ns.get(place, 0))
                self._latest_ns[place] = made.append_ns
                self._waiting[place].append(made)
            self._next[place] = records[-1].offset + 1
        for place in places:
            # Also past what is no record: ends of transactions, and what was aborted or compacted away.
            self._next[place] = await self._consumer.position(self._by_place[place])

    def _merged(self, max_records: int, max_bytes: int) -> list[Record]:
        taken: list[Record] = []
        size = 0
        while len(taken) < max_records and (size < max_bytes or not taken):
            heads = [waiting for waiting in self._waiting.values() if waiting]
            if not heads:
                break
            record = min(heads, key=lambda waiting: waiting[0].append_ns).popleft()
            taken.append(record)
            size += len(record.value)
        return taken


def _append_ns(record: Record) -> int:
    return record.append_ns
