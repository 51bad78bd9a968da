"""How fast what senders brought is read: bytes a second of the slowest reader, while there is something left."""

from __future__ import annotations

from math import exp

FIRST_BYTES_A_SECOND = 8 << 20
"""What is taken for true until it has been measured."""
LEAST_BYTES_A_SECOND, MOST_BYTES_A_SECOND = 256 << 10, 256 << 20
"""A stage that stands still for a moment does not make a backlog of a second one of hours."""
SMOOTHED_SECONDS = 5.0
SHORTEST_SECONDS = 0.1
"""Readers commit in steps: over less time than this a rate says nothing."""


class DrainRate:
    """A smoothed rate, for one thread; times in seconds go in as arguments."""

    def __init__(self) -> None:
        self._rate = float(FIRST_BYTES_A_SECOND)
        self._since: float | None = None
        self._read = 0.0

    def saw(self, now: float, read_bytes: float, unread_bytes: float) -> None:
        """Take in how much was read since the last look, and whether there is more: a reader at rest shows no rate."""
        if self._since is not None:
            self._read += read_bytes
            passed = now - self._since
            if passed < SHORTEST_SECONDS and unread_bytes > 0:
                return
            if unread_bytes > 0:
                new = 1 - exp(-passed / SMOOTHED_SECONDS)
                self._rate += new * (self._read / passed - self._rate)
        self._since = now if unread_bytes > 0 else None
        self._read = 0.0

    def bytes_a_second(self) -> float:
        """Give the rate."""
        return min(MOST_BYTES_A_SECOND, max(LEAST_BYTES_A_SECOND, self._rate))
