"""Live runs by key: a bounded cache over the group's committed state, and the reasons why a run leaves it.

The cache may be dropped at any time (`forget`): what it held is in the committed state or was never committed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from collector.bus.held_state import HeldState
from collector.bus.protocol import State, StateChange
from processors.runs.fold import FoldCodec
from processors.runs.state import RunState, RunStateCodec
from processors.runs.window_rows import number_of
from schemas.keys import join_key
from schemas.metrics import LIVE_RUNS, RUNS_EVICTED, GaugePart

STORE, WINDOWS = "runs", "windows"
"""Heads of runs, by key; rows of their windows, by `key/number`."""

ENDED, ABANDONED, CAP, VERSION = "ended", "abandoned", "cap", "version"
IN_MEMORY, IN_MEMORY_BYTES = 4_096, 268_435_456
"""Runs held in memory at most, and bytes of memory they may take, where nothing else is said."""
EXPANSION = 7
"""Bytes of memory that a byte takes which is stored of a run (measured: 4.5 to 7.0, the more the smaller its steps)."""


class KeyedState:
    """The live runs of one group. `in_memory_bytes` bounds the cache, as its runs' stored size tells it.

    How many runs live at all is the owner's to bound.
    """

    def __init__(self, processor: str, codecs: Sequence[FoldCodec], in_memory_bytes: int = IN_MEMORY_BYTES) -> None:
        self._processor = processor
        self._codecs = codecs
        self._codec = RunStateCodec(codecs)
        self._runs: HeldState[RunState] = HeldState(STORE, IN_MEMORY, in_memory_bytes, EXPANSION)
        self._live_shown = GaugePart(LIVE_RUNS.labels(processor=processor))
        self.live = 0

    def forget(self, state: State) -> None:
        """Drop the cache and count what is committed."""
        self._runs.clear()
        self.live = state.count(STORE)
        self.show()

    def get(self, tenant: str, run_id: str, state: State) -> RunState:
        """Get a run, from memory, from the committed state, or new."""
        key = join_key(tenant, run_id)
        run = self._runs.get(key)
        if run is None:
            data = state.get(STORE, key)
            run = self._read(key, data, state) if data is not None else None
            if run is None:
                run = RunState(tenant, run_id, self._codecs)
                if data is not None:  # one that other versions wrote
                    run.window.rows.forget(self._left_behind(key, state))
                self.live += 1
        self._runs.use(key, run)
        return run

    def load(self, key: str, state: State) -> RunState | None:
        """Read a run that is known by its key; None where there is none, or none these detectors can go on with."""
        held = self._runs.get(key)
        if held is not None:
            return held
        data = state.get(STORE, key)
        return self._read(key, data, state) if data is not None else None

    def _read(self, key: str, data: bytes, state: State) -> RunState | None:
        run = self._codec.unpack(data, state.scan(WINDOWS, f"{key}/"))
        if run is None:
            self.live -= 1
            RUNS_EVICTED.labels(processor=self._processor, reason=VERSION).inc()
        return run

    def save(self, run: RunState, due_ns: int) -> list[StateChange]:
        """Make the changes that store what is new of a run, to be looked at again at `due_ns`."""
        key = join_key(run.tenant, run.run_id)
        rows = [StateChange(WINDOWS, row, value) for row, value in self._codec.changed_rows(run, key)]
        head = self._codec.pack(run)
        if key in self._runs:
            self._runs.weigh(key, len(head) + run.stored_bytes())
        return [*rows, StateChange(STORE, key, head, due_ns)]

    def drop(self, run: RunState, reason: str, state: State) -> list[StateChange]:
        """Make the changes that let a run go."""
        key = join_key(run.tenant, run.run_id)
        self._runs.drop(key)
        self.live -= 1
        RUNS_EVICTED.labels(processor=self._processor, reason=reason).inc()
        return self.erase(key, state)

    def erase(self, key: str, state: State) -> list[StateChange]:
        """Make the changes that remove every row of a run."""
        rows = [StateChange(WINDOWS, row, None) for row, _ in state.scan(WINDOWS, f"{key}/")]
        return [*rows, StateChange(STORE, key, None)]

    def show(self) -> None:
        """Show how many runs live."""
        self._live_shown.set(self.live)

    @staticmethod
    def _left_behind(key: str, state: State) -> Iterator[int]:
        """List rows of a run that detectors of other versions began."""
        for row, _ in state.scan(WINDOWS, f"{key}/"):
            number = number_of(row)
            if number is not None:
                yield number

    def trim(self) -> None:
        """Keep the cache within its bound; to be called when everything in it is on its way to be committed."""
        self._runs.trim()
