"""The tasks of a group on Kafka that are this member's; see `Tasks`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from collector.bus.kafka_group_lag import KafkaGroupLag
from collector.bus.kafka_loop import LoopThread
from collector.bus.kafka_membership import Membership
from collector.bus.protocol import BusUnavailable, Consumer

AT_A_TIME = 4
"""How many tasks are begun beside one another."""


class Task(Consumer, Protocol):
    """A task that is still to be begun."""

    def begin(self) -> None:
        """Become the one that has this task; raises BusUnavailable."""

    @property
    def is_open(self) -> bool:
        """Say whether this was begun and not closed since."""

    @property
    def restore_left(self) -> int:
        """Count the records of state still to be read before this begins."""

    async def look(self, timeout_seconds: float) -> None:
        """Return when there is something to poll, or the time is over. To be called on the bus's loop."""


class KafkaTasks:
    """What a member of a group works; `make` makes a task that is still to be begun."""

    shared = True

    def __init__(
        self, loop: LoopThread, membership: Membership, lag: KafkaGroupLag, make: Callable[[int], Task]
    ) -> None:
        self._loop = loop
        self._membership = membership
        self._lag = lag
        self._make = make
        self._tasks: dict[int, Task] = {}

    def mine(self) -> Collection[int] | None:
        """Give the tasks that are this member's now."""
        mine = self._membership.mine()
        return mine if mine is None else sorted(mine)

    def begin(self, numbers: Collection[int]) -> Mapping[int, Consumer]:
        """Begin tasks, several at a time; all of them or none."""
        begun = {number: self._make(number) for number in numbers}
        self._tasks.update(begun)
        with ThreadPoolExecutor(AT_A_TIME) as together:
            failed = [error for error in together.map(_begin, begun.values()) if error is not None]
        if failed:
            for task in begun.values():
                task.close()
            raise failed[0]
        return begun

    def wait(self, timeout_seconds: float) -> None:
        """Wait until there is something for one of the tasks."""
        self._loop.run(self._wait(timeout_seconds))

    def progress(self) -> str:
        """Say how much of the state is still to be read."""
        left = {number: task.restore_left for number, task in dict(self._tasks).items() if task.restore_left}
        if not left:
            return ""
        return f"restoring the state of {len(left)} tasks: {sum(left.values()):,} records to go"

    def close(self) -> None:
        """Leave the group."""
        self._lag.stop()
        self._membership.leave()

    async def _wait(self, timeout_seconds: float) -> None:
        looking = [asyncio.create_task(task.look(timeout_seconds)) for task in self._tasks.values() if task.is_open]
        if not looking:
            await asyncio.sleep(timeout_seconds)
            return
        _, waiting = await asyncio.wait(looking, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*looking, return_exceptions=True)  # what one of them raises is raised again by its poll


def _begin(task: Task) -> BusUnavailable | None:
    try:
        task.begin()
    except BusUnavailable as error:
        return error
    return None
