"""Reading topics of Kafka without being a group."""

from __future__ import annotations

import contextlib
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from collector.bus.clock import BusClock
from collector.bus.kafka_connection import KafkaConnection
from collector.bus.kafka_errors import sorted_error
from collector.bus.kafka_fetching import Fetching, Place
from collector.bus.kafka_loop import LoopThread
from collector.bus.protocol import Batch, BusError, Outgoing, Range, State, StateChange

T = TypeVar("T")


class KafkaReader:
    """Reads partitions from where it is told; see `Bus.reader`."""

    def __init__(self, loop: LoopThread, connection: KafkaConnection, places: Sequence[Place], clock: BusClock) -> None:
        self._loop = loop
        self._clock = clock
        self._fetching = Fetching(connection, places)
        self._latest_ns = 0
        self._closed = False
        self._is_looked_after = False
        """Whether somebody else sees to it that what there is to read is fetched."""

    def start(self) -> None:
        """Connect; what is appended from now on is read."""
        self._do(self._begin_at_the_end(), "connecting")

    @property
    def state(self) -> State:
        """A reader keeps none."""
        raise BusError("a reader has no state")

    def poll(self, max_records: int = 500, max_bytes: int = 8_388_608, timeout_seconds: float = 0.5) -> Batch:
        """Wait for records; see `Consumer.poll`."""
        if timeout_seconds > 0 or not self._is_looked_after:
            taken = self._do(self._fetching.take(max_records, max_bytes, timeout_seconds), "reading")
        else:
            taken = self._fetching.take_what_is_here(max_records, max_bytes)
        records, all_read = taken
        if records:
            self._latest_ns = max(self._latest_ns, records[-1].append_ns)
        # While there is more to read, time is the records' own: deadlines must not overtake the backlog.
        return Batch(records, max(self._clock.now_ns(), self._latest_ns) if all_read else self._latest_ns)

    def poll_again(self, ranges: Sequence[Range]) -> Batch:
        """Read exactly these records; see `Consumer.poll_again`."""
        records = self._do(self._fetching.take_again(ranges), "reading again")
        return Batch(records, self._clock.now_ns())

    def commit(  # a task does
        self,
        outputs: Sequence[Outgoing] = (),  # noqa: ARG002
        changes: Sequence[StateChange] = (),  # noqa: ARG002
        offsets: bool = True,  # noqa: ARG002
    ) -> None:
        """Refuse: a reader commits nothing."""
        raise BusError("a reader commits nothing")

    def rewind(self) -> None:
        """Stay: a reader has committed nothing to go back to."""

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Read on from an offset."""
        self._do(self._seek((topic, partition), offset), "seeking")

    def lag(self) -> Mapping[str, int]:
        """Count per topic the records not yet read."""
        return behind(self._fetching.ends(), self._fetching.positions())

    def close(self) -> None:
        """Disconnect; a second time does nothing, nor does one after the bus was closed."""
        if not self._closed:
            self._closed = True
            self._do(self._close(), "disconnecting")

    async def _close(self) -> None:
        with contextlib.suppress(Exception):  # a broker that does not answer keeps nobody from leaving
            await self._fetching.close()

    async def _begin_at_the_end(self) -> None:
        await self._fetching.start()
        for place, end in self._fetching.ends().items():
            self._fetching.seek(place, end)

    async def _seek(self, place: Place, offset: int) -> None:
        self._fetching.seek(place, offset)

    def _do(self, work: Coroutine[Any, Any, T], doing: str) -> T:
        try:
            return self._loop.run(work)
        except Exception as error:
            raise sorted_error(error, doing) from error


def behind(ends: Mapping[Place, int], done: Mapping[Place, int]) -> dict[str, int]:
    """Count per topic what lies between where its partitions were read to and where they end."""
    lags: dict[str, int] = {}
    for place, end in ends.items():
        lags[place[0]] = lags.get(place[0], 0) + max(0, end - done.get(place, 0))
    return lags
