"""What waits for the embedded bus's writer thread: put by anybody, taken together so that one commit serves many."""

from __future__ import annotations

import threading
import time
from collections import deque

from collector.bus.embedded_write import Write
from collector.bus.protocol import BusUnavailable

AT_ONCE = 512
"""How many waiting writes one commit takes at most."""
GATHER_SECONDS = 0.003
"""How long after one another commits begin at the soonest: each costs an fsync and a few changes of threads."""


class WriteQueue:
    """Writes in their order, `size` bytes of records in all. `closing`: nothing more is let in."""

    def __init__(self) -> None:
        self._waiting: deque[Write] = deque()
        self._wake = threading.Condition()
        self.size = 0
        self.closing = False

    def __len__(self) -> int:
        """Count the writes that wait."""
        return len(self._waiting)

    def put(self, write: Write) -> None:
        """Let a write wait; refused when closing, which its future says."""
        with self._wake:
            if self.closing:
                write.done.set_exception(BusUnavailable("the bus is closing"))
                return
            self._waiting.append(write)
            self.size += _size(write)
            self._wake.notify()

    def close(self) -> None:
        """Let nothing more in, and wake the writer."""
        with self._wake:
            self.closing = True
            self._wake.notify_all()

    def take(self, timeout_seconds: float, begun: float) -> list[Write]:
        """Take what waits, or wait for it; `begun` is when the last commit began (monotonic)."""
        with self._wake:
            self._wake.wait_for(lambda: self._waiting or self.closing, timeout_seconds)
        self._gather(begun)
        with self._wake:
            count = min(len(self._waiting), AT_ONCE)
            taken = [self._waiting.popleft() for _ in range(count)]
            self.size -= sum(map(_size, taken))
        # From here on a write cannot be cancelled: what nobody waits for any more is not written.
        return [write for write in taken if write.done.set_running_or_notify_cancel()]

    def _gather(self, begun: float) -> None:
        """Under load let more writes come, so that one commit serves them all; a first one is not kept waiting."""
        early = begun + GATHER_SECONDS - time.monotonic()
        if early > 0 and not self.closing and len(self._waiting) < AT_ONCE:
            time.sleep(early)


def _size(write: Write) -> int:
    """Say what the records of a write take."""
    return sum(len(record.value) for record in write.records)
