"""Keeps batches away from a store that is away: after a few failures in a row it is asked first whether it is back.

How often is the driver's business (`collector/stages.py`): ever longer pauses, up to 15 s, of one thread with one
connection; the batch it holds stays planned on the bus, and so does everything behind it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from schemas.metrics import STORE_CIRCUIT_OPEN
from sinks.store import StoreAway

Done = TypeVar("Done")
FAILURES = 2
"""From how many failures in a row on the store is asked first."""


class Circuit:
    """Counts failures of one store; owned by one thread."""

    def __init__(self, sink: str) -> None:
        self._shown = STORE_CIRCUIT_OPEN.labels(sink=sink)
        self._shown.set(0)
        self._failed = 0
        self._since = 0.0

    @property
    def is_open(self) -> bool:
        """Say whether batches are kept away."""
        return self._failed >= FAILURES

    def run(self, work: Callable[[], Done], ping: Callable[[], None] | None = None) -> Done:
        """Do something with the store, once it has answered a ping where the circuit is open; raises StoreError."""
        try:
            if self.is_open and ping is not None:
                ping()
            done = work()
        except StoreAway as error:
            raise self._counted(error) from error
        self._failed = 0
        self._shown.set(0)
        return done

    def _counted(self, error: StoreAway) -> StoreAway:
        self._failed += 1
        if self._failed == 1:
            self._since = time.time()
        self._shown.set(self.is_open)
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._since))
        return StoreAway(f"{error}; {self._failed} tries since {since}, the bus keeps what comes")
