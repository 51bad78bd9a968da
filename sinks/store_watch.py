"""Looks after the embedded store beside the sink: rescues what is damaged, at the start and when it is found later.

Each part is read and compared with its checksums once a round, for a tenth of the time of one core at most.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from collector.bus.protocol import BusError
from schemas.metrics import STORE_BROKEN_PARTS, STORE_LOST_ROWS, STORE_RESCUED_ROWS
from sinks.damaged_parts import active_parts, damage_of, set_aside
from sinks.replay import Replay
from sinks.rescue import Rescued, rescue, told_before
from sinks.store import Store, StoreError

PAUSE_TIMES = 9
"""How many times as long as a part took is waited before the next."""
AGAIN_SECONDS = 60.0
END_SECONDS = 2.0
UNKNOWN = -1


class StoreWatch:
    """A thread with a connection of its own. `every_seconds` is from round to round of checks; 0 makes none."""

    def __init__(self, open_store: Callable[[], Store], replay: Replay | None, every_seconds: float) -> None:
        self._open_store = open_store
        self._replay = replay
        self._every_seconds = every_seconds
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.note = ""
        """What is or was damaged, and what to do; empty where nothing is. Health shows it."""

    def start(self) -> None:
        """Begin; what was damaged before the start is rescued first."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="store-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End soon; a statement that is under way is not waited for long, and may be done again."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(END_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._watch()
            except (StoreError, BusError, OSError) as error:
                sys.stderr.write(f"sinks/clickhouse: the store could not be looked through: {error}; tried again\n")
            self._stop.wait(AGAIN_SECONDS)

    def _watch(self) -> None:
        store = self._open_store()
        try:
            self._rescue(store)
            while self._every_seconds and not self._stop.is_set():
                self._check_all(store)
                self._stop.wait(self._every_seconds)
            self._stop.wait()
        finally:
            store.close()

    def _check_all(self, store: Store) -> None:
        for part in active_parts(store):
            begun = time.monotonic()
            damage = damage_of(store, part)
            if damage:
                set_aside(store, part, damage)
                self._rescue(store)
            if self._stop.wait((time.monotonic() - begun) * PAUSE_TIMES):
                return

    def _rescue(self, store: Store) -> None:
        for table, parts in store.broken_parts().items():
            STORE_BROKEN_PARTS.labels(table=table).set(parts)
            self.note = self.note or f"{parts} damaged part(s) of {table} were set aside; their rows are brought back"
        for rescued in rescue(store, self._replay):
            sys.stderr.write(f"sinks/clickhouse: {in_words(rescued)}\n")
        before = list(told_before(store))
        self.note = "; ".join(map(in_short, before))
        for rescued in before:
            STORE_RESCUED_ROWS.labels(table=rescued.table, source="part").set(rescued.from_parts)
            STORE_RESCUED_ROWS.labels(table=rescued.table, source="bus").set(rescued.from_bus)
            STORE_LOST_ROWS.labels(table=rescued.table).set(UNKNOWN if rescued.lost is None else rescued.lost)


def in_words(rescued: Rescued) -> str:
    """Say what became of damaged parts."""
    rows = "an unknown number of" if rescued.rows is None else str(rescued.rows)
    lost = (
        "nobody knows how many are"
        if rescued.lost is None
        else "none is"
        if not rescued.lost
        else f"{rescued.lost} are"
    )
    where = ", ".join(partition or "all" for partition in rescued.partitions)
    return (
        f"{rescued.parts} damaged part(s) of {rescued.table} ({where}) were set aside with {rows} rows: "
        f"{rescued.from_parts} were read from them, {rescued.from_bus} were found again, {lost} lost; "
        f"kept as they were: {', '.join(rescued.kept_as)}"
    )


def in_short(rescued: Rescued) -> str:
    """Say for health what became of damaged parts, and what somebody is to do about it."""
    lost = "an unknown number of rows" if rescued.lost is None else f"{rescued.lost} rows at most"
    became = f"{lost} are lost" if rescued.lost != 0 else "no row is lost"
    return (
        f"{rescued.parts} damaged part(s) of {rescued.table} were set aside, {became}: look after the disk, then stop "
        "tracemend and run `tracemend store repair`, which puts them away"
    )
