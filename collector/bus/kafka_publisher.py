"""Publishes what the doors take in: one idempotent producer, acknowledged by all replicas that are in step.

What cannot be delivered is tried again for as long as this lives, in order and without repeats; while that takes
longer than it should, new records are refused, so that memory stays bounded.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import count

from aiokafka import AIOKafkaProducer

from collector.bus.kafka_connection import KafkaConnection
from collector.bus.kafka_errors import is_too_large, sorted_error, too_large
from collector.bus.kafka_lanes import Lanes, Parcel
from collector.bus.kafka_loop import LoopThread
from collector.bus.kafka_records import Sent, size_of, to_send
from collector.bus.kafka_transactions import has_ended, let_go
from collector.bus.protocol import BusUnavailable, Outgoing

LINGER_SECONDS = 0.002
"""How long a first record waits for others, so that one request to a broker serves several of ours."""
SLOW_SECONDS = 5.0
"""How long a record may go unacknowledged before others are refused."""
CLOSING_SECONDS, AGAIN_SECONDS = 5.0, 1.0
NEW_SHARE = 0.02
"""How much a record counts in the average size of its topic's."""
Waiting = tuple[Sequence[Outgoing], "Future[None]"]


class Publisher:
    """Takes records from any thread. `limit` says how large a record of a topic may be."""

    def __init__(
        self,
        loop: LoopThread,
        connection: KafkaConnection,
        partitions: Callable[[str], int],
        limit: Callable[[str], int],
        largest: int,
    ) -> None:
        self._loop = loop
        self._connection = connection
        self._partitions = partitions
        self._limit = limit
        self._largest = largest
        self._producer: AIOKafkaProducer | None = None
        self._lanes: Lanes | None = None
        self._replacing: asyncio.Task[None] | None = None
        self._closing = False
        self._guard = threading.Lock()
        self._queue: deque[Waiting] = deque()
        self._woken = False
        self._numbers = count()
        self._under_way: dict[int, float] = {}
        """When what is not yet acknowledged was begun, oldest first."""
        self._sizes: dict[str, float] = {}

    async def start(self) -> None:
        """Connect."""
        producer = AIOKafkaProducer(
            enable_idempotence=True, acks="all", max_request_size=self._largest, **self._connection.options()
        )
        try:
            await producer.start()
        except BaseException:
            await let_go(producer)
            raise
        self._producer, self._lanes = producer, Lanes(producer, self._largest)

    @property
    def trouble(self) -> str:
        """Say why nothing can be published now; empty where it can."""
        begun = next(iter(self._under_way.copy().values()), None)
        waited = 0.0 if begun is None else time.monotonic() - begun
        if waited < SLOW_SECONDS:
            return ""
        return f"Kafka on {self._connection.brokers} has acknowledged nothing for {waited:.0f} s: see whether it runs"

    def record_bytes(self, topic: str) -> float:
        """Say what records of a topic that were published here took of late, on average; 0 where there were none."""
        return self._sizes.get(topic, 0.0)

    def publish(self, records: Sequence[Outgoing]) -> Future[None]:
        """Append records; see `Bus.publish`."""
        done: Future[None] = Future()
        trouble = self.trouble
        if trouble:
            done.set_exception(BusUnavailable(trouble, SLOW_SECONDS))
            return done
        with self._guard:
            self._queue.append((records, done))
            wake, self._woken = not self._woken, True
        if wake:
            self._loop.loop.call_soon_threadsafe(self._wait_a_little)
        return done

    async def close(self) -> None:
        """Deliver what was taken in, as far as the broker lets us; what it does not is told so."""
        self._closing = True
        if self._replacing is not None:
            self._replacing.cancel()
        deadline = time.monotonic() + CLOSING_SECONDS
        while (self._under_way or self._queue) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        if self._producer is not None:
            await let_go(self._producer)

    def _wait_a_little(self) -> None:
        """Take records once others had time to come: one batch then serves several, and one waking of this thread."""
        self._loop.loop.call_later(LINGER_SECONDS, self._take)

    def _take(self) -> None:
        with self._guard:
            self._woken = False
            taken = list(self._queue)
            self._queue.clear()
        for records, done in taken:
            # From here on it cannot be cancelled: what nobody waits for any more is not written.
            if done.set_running_or_notify_cancel():
                self._send(records, done)

    def _send(self, records: Sequence[Outgoing], done: Future[None]) -> None:
        try:
            lanes, ready = self._sending(), [self._ready(record) for record in records]
        except Exception as error:  # noqa: BLE001  # whatever it is, others that were taken with it are sent
            done.set_exception(sorted_error(error, "publishing"))
            return
        if not ready:
            done.set_result(None)
            return
        number = next(self._numbers)
        self._under_way[number] = time.monotonic()
        parcel = Parcel(len(records), done, partial(self._under_way.__delitem__, number))
        for record, sent in zip(records, ready, strict=True):
            lanes.add(sent, partial(self._arrived, parcel, record))

    def _sending(self) -> Lanes:
        if self._lanes is None:
            raise BusUnavailable("Kafka has no more use for the producer there was: another one is being begun")
        return self._lanes

    def _ready(self, record: Outgoing) -> Sent:
        limit = self._limit(record.topic)
        if size_of(record) > limit:
            raise too_large(record.topic, len(record.value), limit)
        self._measure(record)
        return to_send(record, self._connection.on_broker(record.topic), self._partitions(record.topic))

    def _measure(self, record: Outgoing) -> None:
        size = len(record.value)
        self._sizes[record.topic] = self._sizes.get(record.topic, size) * (1 - NEW_SHARE) + size * NEW_SHARE

    def _arrived(self, parcel: Parcel, record: Outgoing, error: BaseException | None) -> None:
        if error is not None and is_too_large(error):
            error = too_large(record.topic, len(record.value), self._limit(record.topic))
        parcel.arrived(error)
        ended = self._producer
        if error is not None and ended is not None and has_ended(ended) and not self._closing:
            self._producer = self._lanes = None
            self._replacing = self._loop.loop.create_task(self._replace(ended))

    async def _replace(self, ended: AIOKafkaProducer) -> None:
        """Begin another producer in place of one that fails everything from now on, as after a fatal answer it does."""
        await let_go(ended)
        while self._producer is None:
            try:
                await self.start()
            except Exception:  # noqa: BLE001  # whatever it is: what is published meanwhile is refused
                await asyncio.sleep(AGAIN_SECONDS)
