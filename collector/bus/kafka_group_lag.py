"""What a whole group has still to read, whoever works it: by what the broker knows, not by what members say.

A member that dies takes its own figures with it, and until the group has noticed (its session's time) nobody has the
member's tasks; what waits for them is in these figures all the while. Members show their group's, and every process of
a pipeline that of the groups which read what senders bring: of these there may be no member left.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence

from aiokafka.structs import TopicPartition

from collector.bus.kafka_connection import KafkaConnection
from collector.bus.kafka_ends import KafkaEnds
from collector.bus.kafka_loop import LoopThread
from collector.bus.kafka_topics import KafkaTopics, Place
from schemas.metrics import GROUP_LAG

LOOK_SECONDS = 5.0


class KafkaGroupLag:
    """Shows the lag of one group, anew every few seconds, from `start` until `stop`.

    `is_ours`: whether the group is known to be of this deployment; else what it has committed nothing of is left out.
    """

    def __init__(
        self,
        loop: LoopThread,
        connection: KafkaConnection,
        topics: KafkaTopics,
        ends: KafkaEnds,
        group: str,
        places: Sequence[Place],
        is_ours: bool = True,
    ) -> None:
        self._loop = loop
        self._is_ours = is_ours
        self._topics = topics
        self._ends = ends
        self._group = group
        self._places = {TopicPartition(connection.on_broker(topic), part): (topic, part) for topic, part in places}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look from now on."""
        self._loop.run(self._start())

    def stop(self) -> None:
        """Look no more, and show nothing: others of the group go on."""
        self._loop.run(self._stop())
        self._hide()

    async def _start(self) -> None:
        self._task = asyncio.create_task(self._look_on())

    async def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _look_on(self) -> None:
        while True:
            try:
                self._show(await self._behind())
            except Exception:  # noqa: BLE001  # what is wrong shows where the broker is read and written; no figure is old
                self._hide()
            await asyncio.sleep(LOOK_SECONDS)

    def _show(self, behind: Mapping[str, int]) -> None:
        for topic, records in behind.items():
            GROUP_LAG.labels(group=self._group, topic=topic).set(records)

    def _hide(self) -> None:
        for topic in {topic for topic, _ in self._places.values()}:
            with contextlib.suppress(KeyError):  # not shown yet
                GROUP_LAG.remove(self._group, topic)

    async def _behind(self) -> Mapping[str, int]:
        committed = await self._topics.committed(self._group, list(self._places.values()))
        ends = await self._ends.of(list(self._places))
        fresh = [partition for partition, place in self._places.items() if place not in committed and self._is_ours]
        read_to = {
            partition: committed[place].offset for partition, place in self._places.items() if place in committed
        }
        read_to |= await self._ends.beginnings(fresh) if fresh else {}
        lags: Counter[str] = Counter()
        for partition, offset in read_to.items():
            lags[self._places[partition][0]] += max(0, ends[partition] - offset)
        return lags
