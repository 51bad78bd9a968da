"""What is on its way to the partitions of a cluster: one batch at a time for each, what comes meanwhile is the next.

So records of a partition stay in order, a partition whose leader is away holds up no other, and what a broker is asked
for grows with how busy it is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import NamedTuple

import zstandard
from aiokafka import AIOKafkaProducer

from collector.bus.kafka_batches import LEVEL, RecordBatch
from collector.bus.kafka_errors import sorted_error
from collector.bus.kafka_records import Sent
from collector.bus.protocol import BusUnavailable

BATCH_BYTES = 1024 * 1024
NOT_ACKNOWLEDGED = "the bus was closed before Kafka acknowledged this"


class Parcel:
    """Records that were published together: `done` is told once all of them have arrived, or one of them has not."""

    def __init__(self, records: int, done: Future[None], over: Callable[[], None]) -> None:
        self._left = records
        self._done = done
        self._over = over
        self._error: BaseException | None = None

    def arrived(self, error: BaseException | None = None) -> None:
        """Count one of them, or what became of it."""
        self._error = self._error or error
        self._left -= 1
        if self._left > 0:
            return
        self._over()
        if self._error is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(sorted_error(self._error, "publishing"))


class _Load(NamedTuple):
    """A batch, and for each of its records whom to tell."""

    batch: RecordBatch
    told: list[Callable[[BaseException | None], None]]


class Lanes:
    """Sends by one producer. Lives on the bus's loop."""

    def __init__(self, producer: AIOKafkaProducer, largest: int) -> None:
        self._producer = producer
        self._most = min(BATCH_BYTES, largest)
        self._compressor = zstandard.ZstdCompressor(level=LEVEL)
        self._waiting: dict[tuple[str, int], deque[_Load]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, record: Sent, tell: Callable[[BaseException | None], None]) -> None:
        """Put a record behind the others of its partition; `tell` hears what became of it."""
        place = (record.topic, record.partition)
        waiting = self._waiting.get(place)
        if waiting is None:
            waiting = self._waiting[place] = deque()
            task = asyncio.get_running_loop().create_task(self._drive(place, waiting))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if not waiting or not waiting[-1].batch.add(record.key, record.value, record.headers):
            waiting.append(_Load(RecordBatch(self._compressor, self._most), []))
            waiting[-1].batch.add(record.key, record.value, record.headers)
        waiting[-1].told.append(tell)

    async def _drive(self, place: tuple[str, int], waiting: deque[_Load]) -> None:
        """Send what waits for a partition, until nothing does."""
        try:
            while waiting:
                load = waiting.popleft()
                try:
                    _tell(load, await self._sent(place, load.batch))
                except asyncio.CancelledError:
                    waiting.appendleft(load)
                    raise
        finally:
            del self._waiting[place]
            for load in waiting:
                _tell(load, BusUnavailable(NOT_ACKNOWLEDGED))

    async def _sent(self, place: tuple[str, int], batch: RecordBatch) -> Exception | None:
        topic, partition = place
        try:
            await (await self._producer.send_batch(batch, topic, partition=partition))
        except Exception as error:  # noqa: BLE001  # whatever it is, those who published are told
            return error
        return None


def _tell(load: _Load, error: BaseException | None) -> None:
    for tell in load.told:
        tell(error)
