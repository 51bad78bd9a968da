"""A bus that refuses for a while, as one does whose disk is full or whose broker is away."""

from __future__ import annotations

import time
from concurrent.futures import Future
from itertools import pairwise
from typing import Any

import pytest
from open_doors import OpenDoors

from collector.bus.protocol import BusUnavailable


class Refusals:
    """Refuses the first publishes through some doors, each with a retry delay; `at` says when each was asked for."""

    def __init__(self, doors: OpenDoors, monkeypatch: pytest.MonkeyPatch, times: int, retry_seconds: float) -> None:
        self.at: list[float] = []
        self._times = times
        self._retry_seconds = retry_seconds
        self._publish = doors.bus.publish
        monkeypatch.setattr(doors.bus, "publish", self.publish)

    def publish(self, records: Any) -> Future[None]:
        """Refuse, or publish."""
        self.at.append(time.monotonic())
        if len(self.at) > self._times:
            return self._publish(records)
        refused: Future[None] = Future()
        refused.set_exception(BusUnavailable("the disk is full", self._retry_seconds))
        return refused

    @property
    def shortest_wait(self) -> float:
        """Give the shortest time between a refusal and the next try, in seconds."""
        tries = self.at[: self._times + 1]
        return min(after - before for before, after in pairwise(tries))
