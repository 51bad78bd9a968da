"""The last steps of each run, as they stand on `agent_steps`: in memory only, bounded, not decoded until asked for.

The judge and the second look read them here and not in the store, which may lag, be away or belong to another machine.
Kept as records, a step costs one dict entry; of the runs that nobody asks about nothing is ever decoded. What the judge
is asked about is copied into its own state at once; the rest is read from the log again after a restart
(`bookmarks.py`).
"""

from __future__ import annotations

from collections import OrderedDict, deque

import msgspec

from collector.bus.protocol import Record
from schemas.metrics import CACHE_BYTES, CACHE_EVICTED
from schemas.step import Step
from schemas.steps_codec import UnknownStepSchema, decode_steps

NAME = "judge_transcripts"
FIRST_RECORDS, LAST_RECORDS = 2, 200
"""What is kept of a run: how it began, and what came last."""
RECORD_OVERHEAD = 200
"""Bytes a record takes beside its value."""


class Transcript:
    """One run's records."""

    def __init__(self) -> None:
        self.first: list[bytes] = []
        self.last: deque[bytes] = deque()
        self.bytes = 0

    def add(self, value: bytes) -> None:
        """Take a record in, and let the oldest one go that is neither among the first nor the last."""
        self.bytes += len(value) + RECORD_OVERHEAD
        if len(self.first) < FIRST_RECORDS:
            self.first.append(value)
            return
        self.last.append(value)
        if len(self.last) > LAST_RECORDS:
            self.bytes -= len(self.last.popleft()) + RECORD_OVERHEAD


class Transcripts:
    """All runs' records, least recently seen out first. `cache` names them in the metrics."""

    def __init__(self, most_bytes: int, cache: str = NAME) -> None:
        self._most_bytes = most_bytes
        self._cache = cache
        self._runs: OrderedDict[str, Transcript] = OrderedDict()
        self._bytes = 0

    def add(self, record: Record) -> None:
        """Take a record of `agent_steps` in."""
        run = self._runs.get(record.key)
        if run is None:
            run = self._runs[record.key] = Transcript()
        else:
            self._runs.move_to_end(record.key)
        self._bytes -= run.bytes
        run.add(record.value)
        self._bytes += run.bytes

    def trim(self) -> None:
        """Keep within the bound."""
        evicted = 0
        while self._bytes > self._most_bytes and self._runs:
            _, run = self._runs.popitem(last=False)
            self._bytes -= run.bytes
            evicted += 1
        if evicted:
            CACHE_EVICTED.labels(cache=self._cache, reason="bytes").inc(evicted)
        CACHE_BYTES.labels(cache=self._cache).set(self._bytes)

    def steps(self, key: str) -> list[Step]:
        """Give what is known of a run, in order, each step as it was last published; `key` is the record key."""
        run = self._runs.get(key)
        latest: dict[str, Step] = {}
        for value in [*run.first, *run.last] if run else ():
            for step in _decoded(value):
                known = latest.get(step.span_id)
                if known is None or step.revision >= known.revision:
                    latest[step.span_id] = step
        return sorted((step for step in latest.values() if not step.retracted), key=lambda step: step.order)


def _decoded(value: bytes) -> list[Step]:
    try:
        return decode_steps(value)
    except (msgspec.DecodeError, UnknownStepSchema):
        return []  # the runtime reads the same record, and puts it among the dead letters
