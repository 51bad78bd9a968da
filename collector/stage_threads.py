"""The stages of one process, each in a thread: started back to front, drained in the order of a span's way.

StartError    stop: something that is needed could not be started; says what and what to do
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from collector.bus.protocol import Bus, Delivery, Stage
from collector.memory_shares import LARGEST_BATCH_BYTES
from collector.poison import DEFAULT_LIMIT
from collector.roles import is_essential
from collector.shutdown import Deadline
from collector.stages import DEGRADED, FAILING, FENCED, RUNNING, STARTING, StageThread

LOOK_SECONDS = 0.01
START_SECONDS = 60.0
LEFT_FOR_THE_END = 1.0
"""Seconds of a shutdown's budget in which nothing is drained any more."""


MakeStage = Callable[[], Stage | Delivery]
"""Makes a stage; each task of its group gets one."""


class StartError(Exception):
    """The pipeline cannot start."""


class StageThreads:
    """All stages of a process. `on_failed` is called, from any thread, when one of them can no longer go on.

    `batch_bytes`: what one of them reads at once, or one record where that is larger.
    """

    def __init__(
        self,
        bus: Bus,
        on_failed: Callable[[str], None],
        drain_order: Callable[[str], int],
        batch_bytes: int = LARGEST_BATCH_BYTES,
        max_poison: int = DEFAULT_LIMIT,
    ) -> None:
        self._bus = bus
        self._on_failed = on_failed
        self._drain_order = drain_order
        self._batch_bytes = batch_bytes
        self._max_poison = max_poison
        self._threads: list[StageThread] = []

    def start(self, stages: Sequence[tuple[str, MakeStage]]) -> None:
        """Start stages in order, and wait until each has read its state; raises StartError for one that cannot."""
        for name, make in stages:
            thread = StageThread(name, make, self._bus, self._failed, self._batch_bytes, self._max_poison)
            self._threads.append(thread)
            thread.start()
        deadline = Deadline(START_SECONDS)
        for thread in self._threads:
            while thread.status == STARTING and (deadline.left() > 0 or thread.progress()):
                time.sleep(LOOK_SECONDS)
            if thread.status not in (RUNNING, FAILING):
                raise StartError(f"{thread.name} did not start: {thread.error or 'not in time'}")

    def running(self) -> bool:
        """Say whether all of them are well that have to be."""
        return all(thread.status == RUNNING for thread in self._threads if is_essential(thread.name))

    def components(self) -> Mapping[str, Mapping[str, str]]:
        """Say how each is."""
        return {thread.name: _how(thread) for thread in self._threads}

    def drain(self, deadline: Deadline) -> None:
        """Stop each once it has read what the one before it wrote, or when time is short."""
        for thread in sorted(self._threads, key=lambda thread: self._drain_order(thread.name)):
            thread.finish()
            while deadline.left() > LEFT_FOR_THE_END and thread.status == RUNNING:
                time.sleep(LOOK_SECONDS)
            thread.stop()
        for thread in self._threads:
            thread.join(deadline.left())

    def _failed(self, reason: str) -> None:
        fenced = any(thread.status == FENCED for thread in self._threads)
        self._on_failed(f"{reason}; another tracemend is running on the same data" if fenced else reason)


def _how(thread: StageThread) -> Mapping[str, str]:
    degraded = thread.degraded() if thread.status == RUNNING else ""
    said = thread.error or thread.progress() or degraded or thread.note()
    return {"status": DEGRADED if degraded else thread.status, "error": said}
