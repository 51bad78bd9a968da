"""Live runs by key: a bounded cache over the group's committed state, and the reasons why a run leaves it.

The cache may be dropped at any time (`forget`): what it held is in the committed state or was never committed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from collector.bus.protocol import State, StateChange
from processors.fold import FoldCodec
from processors.run_state import RunState, RunStateCodec
from schemas.keys import join_key
from schemas.metrics import LIVE_RUNS, RUNS_EVICTED

STORE = "runs"

ENDED, ABANDONED, CAP, VERSION = "ended", "abandoned", "cap", "version"


class KeyedState:
    """The live runs of one group. `in_memory` bounds the cache; how many runs live at all is the owner's to bound."""

    def __init__(self, processor: str, codecs: Sequence[FoldCodec], in_memory: int = 4_096) -> None:
        self._processor = processor
        self._codecs = codecs
        self._codec = RunStateCodec(codecs)
        self._in_memory = in_memory
        self._runs: OrderedDict[str, RunState] = OrderedDict()
        self.live = 0

    def forget(self, state: State) -> None:
        """Drop the cache and count what is committed."""
        self._runs.clear()
        self.live = state.count(STORE)
        LIVE_RUNS.labels(processor=self._processor).set(self.live)

    def get(self, tenant: str, run_id: str, state: State) -> RunState:
        """Get a run, from memory, from the committed state, or new."""
        key = join_key(tenant, run_id)
        run = self._runs.get(key)
        if run is None:
            run = self.load(key, state)
            if run is None:
                run = RunState(tenant, run_id, self._codecs)
                self.live += 1
            self._runs[key] = run
        self._runs.move_to_end(key)
        return run

    def load(self, key: str, state: State) -> RunState | None:
        """Read a run that is known by its key; None where there is none, or none these detectors can go on with."""
        if key in self._runs:
            return self._runs[key]
        data = state.get(STORE, key)
        if data is None:
            return None
        run = self._codec.unpack(data)
        if run is None:
            self.live -= 1
            RUNS_EVICTED.labels(processor=self._processor, reason=VERSION).inc()
        return run

    def save(self, run: RunState, due_ns: int) -> StateChange:
        """Make the change that stores a run, to be looked at again at `due_ns`."""
        LIVE_RUNS.labels(processor=self._processor).set(self.live)
        return StateChange(STORE, join_key(run.tenant, run.run_id), self._codec.pack(run), due_ns)

    def drop(self, run: RunState, reason: str) -> StateChange:
        """Make the change that lets a run go."""
        key = join_key(run.tenant, run.run_id)
        self._runs.pop(key, None)
        self.live -= 1
        RUNS_EVICTED.labels(processor=self._processor, reason=reason).inc()
        LIVE_RUNS.labels(processor=self._processor).set(self.live)
        return StateChange(STORE, key, None)

    def trim(self) -> None:
        """Keep the cache within its bound; to be called when everything in it is on its way to be committed."""
        while len(self._runs) > self._in_memory:
            self._runs.popitem(last=False)
