"""One task of a group that a FastStream application serves: a partition number, of all the group's topics.

To whoever works it, it is as any other `Consumer`, but for what a commit is: what is put aside is published first, then
the offsets are acknowledged. Between the two a crash may come, so both may happen again; its state, which says what
the batch in hand holds, is only in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import ConsumerRecord, TopicPartition

from collector.bus.clock import BusClock
from collector.bus.kafka_errors import sorted_error
from collector.bus.kafka_in_hand import InHand, Place
from collector.bus.kafka_loop import LoopThread
from collector.bus.kafka_reader import behind
from collector.bus.kafka_records import received
from collector.bus.passing_state import PassingState
from collector.bus.protocol import Batch, BusError, BusUnavailable, Fenced, Outgoing, Range, StateChange
from schemas.topics import DEAD_LETTERS

if TYPE_CHECKING:
    from collector.bus.kafka_application import Application

T = TypeVar("T")
MOST_WAITING = 100
"""From how many records of a partition on that wait here, no more of it are read."""
ORDERING_SECONDS = 0.05
"""How long records of one topic wait for those of another that is known to have some."""
ANSWER_SECONDS = 30.0


class ApplicationTask:
    """Holds what was read of its partitions, bounded, until it is committed. Owned by one thread; works on the loop."""

    restore_left = 0
    """Records of state still to be read before this begins."""

    def __init__(
        self,
        loop: LoopThread,
        clock: BusClock,
        group: str,
        places: Mapping[TopicPartition, Place],
        application: Application,
    ) -> None:
        self.state = PassingState()
        self.is_open = False
        self._loop, self._clock, self._group = loop, clock, group
        self._places = places
        self._application = application
        self._in_hand = InHand(places)
        self._ends: dict[TopicPartition, int] = {}
        self._put_aside: set[tuple[bytes, ...]] = set()
        """What was put aside since the last commit."""
        self._came = asyncio.Event()
        self._lost = False

    # --- the consumer's side ---

    def begin(self) -> None:
        """Go on where the group last committed; raises BusUnavailable."""
        self._do(self._begin(), f"taking over {self._group}")

    async def look(self, timeout_seconds: float) -> None:
        """Return when there is something to poll, or the time is over. To be called on the bus's loop."""
        if self._in_hand.any_wait() or self._lost:
            return
        self._came.clear()
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._came.wait()
        except TimeoutError:
            return

    def poll(self, max_records: int = 500, max_bytes: int = 8_388_608, timeout_seconds: float = 0.5) -> Batch:
        """Wait for records; see `Consumer.poll`. Time is now, also where there is more to read: events do get old."""
        return self._do(self._poll(max_records, max_bytes, timeout_seconds), "reading")

    def poll_again(self, ranges: Sequence[Range]) -> Batch:
        """Read exactly these records; see `Consumer.poll_again`. They are still here."""
        return self._do(self._poll_again(ranges), "reading again")

    def commit(
        self, outputs: Sequence[Outgoing] = (), changes: Sequence[StateChange] = (), offsets: bool = True
    ) -> None:
        """Put aside, then acknowledge. Of what fails between the two, what was put aside is not put aside again."""
        self._do(self._commit(outputs, offsets), f"committing as {self._group}")
        self.state.apply(changes)

    def rewind(self) -> None:
        """Go back to the last commit."""
        self._do(self._rewind(), "going back")

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Refuse: where a group goes on is what it has committed."""
        raise BusError(f"{self._group} goes on where it has committed, not at {topic}/{partition}/{offset}")

    def lag(self) -> Mapping[str, int]:
        """Count per topic the records not yet committed; ends of transactions that were passed are none."""
        return self._do(self._lag(), "looking how far it is")

    def close(self) -> None:
        """Let go of the task; what was not committed is read again by whoever begins it."""
        self.is_open = False
        with contextlib.suppress(RuntimeError):  # the bus was closed before
            self._loop.loop.call_soon_threadsafe(self._in_hand.clear)

    # --- the application's side, on the loop ---

    async def put(self, partition: TopicPartition, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        """Take over what was read of a partition; enough of it, and no more is read until that is worked."""
        consumer = self._application.consumer
        if not self.is_open or self._lost or consumer is None:
            return
        topic = self._places[partition][0]
        read = [received(record, topic, 0) for record in records]
        try:
            position = await consumer.position(partition)
        except IllegalStateError:
            return  # it was shared out anew since
        if self._in_hand.add(partition, read, position) >= MOST_WAITING:
            consumer.pause(partition)
        self._came.set()

    async def go_on(self, is_mine: bool) -> None:
        """Go on after a rebalance, or not at all where others may have had this meanwhile."""
        if not self.is_open:
            return
        try:
            starts = await self._application.starts(self._places) if is_mine else {}
            if {partition: start.offset for partition, start in starts.items()} != self._in_hand.committed:
                self.lose()
                return
            for partition, offset in self._in_hand.next.items():
                self._consumer().seek(partition, offset)
        except Exception:  # noqa: BLE001  # nobody knows where this is then: it is begun anew
            self.lose()

    def lose(self) -> None:
        """Go on no more: the next to use this is told that it is fenced."""
        self._lost = True
        self._came.set()

    async def _begin(self) -> None:
        self._check()
        starts = await self._application.starts(self._places)
        self._in_hand.begin(starts)
        self._ends = {partition: start.end for partition, start in starts.items()}
        self.is_open = True
        try:
            consumer = self._consumer()
            for partition, start in starts.items():
                consumer.seek(partition, start.offset)
            consumer.resume(*self._places)
        except (IllegalStateError, BusUnavailable):
            self.lose()  # shared out anew since: the next poll tells

    async def _poll(self, max_records: int, max_bytes: int, timeout_seconds: float) -> Batch:
        if (trouble := self._application.trouble) is not None:
            raise trouble
        await self.look(timeout_seconds)
        if timeout_seconds > 0 and self._in_hand.any_wait() and self._is_one_behind():
            await asyncio.sleep(ORDERING_SECONDS)
        self._check()
        taken = self._in_hand.take(max_records, max_bytes)
        consumer = self._consumer()
        consumer.resume(*consumer.paused().intersection(self._in_hand.taken_up()))
        return Batch(taken, max([self._clock.now_ns(), *(record.append_ns for record in taken)]))

    async def _poll_again(self, ranges: Sequence[Range]) -> Batch:
        self._check()
        return Batch(self._in_hand.take_again(ranges), self._clock.now_ns())

    async def _commit(self, outputs: Sequence[Outgoing], offsets: bool) -> None:
        self._check()
        for letter in outputs:
            await self._put_aside_once(letter)
        reached = self._in_hand.reached() if offsets else {}
        if not reached:
            return
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._consumer().commit(dict(reached))
        except (CommitFailedError, IllegalStateError) as error:
            raise Fenced(f"committing as {self._group}: another member has this task") from error
        self._in_hand.commit(reached)
        self._put_aside.clear()

    async def _put_aside_once(self, letter: Outgoing) -> None:
        if letter.topic != DEAD_LETTERS:
            raise BusError(f"{self._group} is served without transactions: it only puts records aside")
        record = tuple(letter.headers[f"original-{name}"] for name in ("topic", "partition", "offset"))
        if record not in self._put_aside:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._application.put_aside(letter)
            self._put_aside.add(record)

    async def _rewind(self) -> None:
        self._check()
        self._in_hand.go_back()

    async def _lag(self) -> Mapping[str, int]:
        done = {place: self._in_hand.committed[partition] for partition, place in self._places.items()}
        for partition, read_to in (await self._positions()).items():
            self._ends[partition] = max(self._ends[partition], self._end(partition))
            if not self._in_hand.has(partition):
                done[self._places[partition]] = read_to
        return behind({self._places[one]: end for one, end in self._ends.items()}, done)

    async def _positions(self) -> Mapping[TopicPartition, int]:
        consumer = self._application.consumer
        if consumer is None or not self.is_open or self._lost:
            return {}
        mine = consumer.assignment().intersection(self._places)
        return {partition: await consumer.position(partition) for partition in mine}

    def _is_one_behind(self) -> bool:
        """Say whether a topic of which nothing is here has something to read."""
        return any(self._end(partition) > self._in_hand.next[partition] for partition in self._in_hand.taken_up())

    def _end(self, partition: TopicPartition) -> int:
        """Give where a partition was seen to end; 0 where that is not known."""
        consumer = self._application.consumer
        if consumer is None or partition not in consumer.assignment():
            return 0
        return consumer.last_stable_offset(partition) or 0

    def _check(self) -> None:
        if self._lost:
            raise Fenced(f"{self._group}: the task was handed over")

    def _consumer(self) -> AIOKafkaConsumer:
        consumer = self._application.consumer
        if consumer is None:
            raise BusUnavailable(f"{self._group} is not in its group now")
        return consumer

    def _do(self, work: Coroutine[Any, Any, T], doing: str) -> T:
        try:
            return self._loop.run(work)
        except Exception as error:
            raise sorted_error(error, doing) from error
