"""The traces the normaliser is at: a bounded cache over committed rows, one for what a batch says anew of a trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

import msgspec

from collector.bus.held_state import HeldState
from collector.bus.protocol import State, StateChange
from collector.normalise.kin_rows import Row
from collector.normalise.trace_state import TRACE_BYTES, Kin, TraceState
from schemas.metrics import NORMALISER_EVICTED

KIN, TOLD, TRACES = "kin", "told", "traces"
"""Stores: what spans said (`kin_rows.py`), the last revision of a step where that is newer, when a trace is let go."""
IN_MEMORY = 20_000
"""Traces held in memory at most; the others are read again when they speak."""
EXPANSION = 4
"""Bytes of memory that a byte takes which is stored of a trace (measured: 2.9 with long texts, 5.0 with short ones)."""
WAIT_NS = 1_800_000_000_000
"""How long after its last span a trace may still learn something (bus time)."""
LIVE_CAP = 100_000
"""How many traces are waited for at all; beyond that, those quiet for longest are let go first."""
EXPIRE_AT_ONCE = 50
"""How many traces one batch lets go at least; never fewer than twice those it brought, so that the backlog shrinks."""
EVER_NS = 2**63 - 1

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Kin).decode
_decode_told = msgspec.msgpack.Decoder(tuple[int, int]).decode


class TraceBounds(NamedTuple):
    """How many traces are waited for, and bytes of memory: of all traces held there, and of one."""

    live: int = LIVE_CAP
    in_memory_bytes: int = EXPANSION * 134_217_728
    trace_bytes: int = EXPANSION * TRACE_BYTES


class Traces:
    """Traces by key (`tenant/trace id`). Owned by the normaliser's thread."""

    def __init__(self, bounds: TraceBounds) -> None:
        self._held: HeldState[TraceState] = HeldState(TRACES, IN_MEMORY, bounds.in_memory_bytes, EXPANSION)
        self._most_of_one = bounds.trace_bytes // EXPANSION
        self._live_cap = bounds.live
        self._live = 0

    def forget(self, state: State) -> None:
        """Drop the cache and count what is committed."""
        self._held.clear()
        self._live = state.count(TRACES)

    def get(self, key: str, state: State) -> TraceState:
        """Get a trace, from memory, from the committed rows, or new."""
        trace = self._held.get(key)
        if trace is None:
            self._live += state.get(TRACES, key) is None
            trace = _load(key, state, self._most_of_one)
            self._held.weigh(key, trace.size)
        self._held.use(key, trace)
        return trace

    def changes(
        self, key: str, trace: TraceState, changed: Collection[str], told: Iterable[str]
    ) -> Iterator[StateChange]:
        """Make the changes that store what is new of a trace, and bound what is kept of it.

        `changed` are spans of which something new is known, `told` those published: of those only the revision is
        new, so that a span's content is written once, however often it is published.
        """
        fresh: dict[str, bytes] = {}
        for span_id in changed:
            fresh[span_id] = value = _encode(trace.kin[span_id])
            trace.weigh(span_id, len(value))
        for span_id in told:
            if span_id not in fresh:
                kin = trace.kin[span_id]
                yield StateChange(TOLD, f"{key}/{span_id}", _encode((kin.revision, kin.digest)))
        yield from self._bounded(key, trace, fresh)
        while spans := trace.rows.worn():
            yield from _rows(key, trace.rows.write({span_id: _encode(trace.kin[span_id]) for span_id in spans}))
        self._held.weigh(key, trace.size)
        yield StateChange(TRACES, key, b"", trace.last_seen_ns + WAIT_NS)

    @staticmethod
    def _bounded(key: str, trace: TraceState, fresh: dict[str, bytes]) -> Iterator[StateChange]:
        """Write what is fresh, and what is final from now on, which is let go of at another time, in a row apart."""
        final: dict[str, bytes] = {}
        evicted: Counter[tuple[str, str]] = Counter()
        for span_id, reason in trace.settle():
            evicted["step", reason] += 1
            fresh.pop(span_id, None)
            final[span_id] = _encode(trace.kin[span_id])
        for span_id, kin, reason in trace.forget_oldest():
            evicted["span", reason] += 1
            fresh.pop(span_id, None)
            final.pop(span_id, None)
            trace.rows.leave(span_id)
            if kin.revision > 0:
                yield StateChange(TOLD, f"{key}/{span_id}", None)
        for spans in (fresh, final):
            yield from _rows(key, trace.rows.write(spans))
        for (what, reason), count in evicted.items():
            NORMALISER_EVICTED.labels(what=what, reason=reason).inc(count)

    def expire(self, state: State, now_ns: int, busy: Collection[str]) -> list[StateChange]:
        """Make the changes that let go of traces that have been quiet for long enough, or are too many."""
        most = max(EXPIRE_AT_ONCE, 2 * len(busy))
        quiet = state.due(TRACES, now_ns, most)
        over = self._live - len(quiet) - self._live_cap
        oldest = state.due(TRACES, EVER_NS, len(quiet) + min(most, over)) if over > 0 else ()
        seen = set(quiet)
        crowded = [key for key in oldest if key not in seen]
        return [*self._let_go(quiet, "quiet", state, busy), *self._let_go(crowded, "cap", state, busy)]

    def _let_go(self, keys: Iterable[str], reason: str, state: State, busy: Collection[str]) -> list[StateChange]:
        rows: list[StateChange] = []
        for key in keys:
            if key in busy:
                continue
            self._held.drop(key)
            self._live -= 1
            for store in (KIN, TOLD):
                rows += [StateChange(store, held, None) for held, _ in state.scan(store, f"{key}/")]
            rows.append(StateChange(TRACES, key, None))
            NORMALISER_EVICTED.labels(what="trace", reason=reason).inc()
        return rows

    def trim(self) -> None:
        """Keep the cache within its bound."""
        self._held.trim()


def _rows(key: str, rows: Iterable[Row]) -> Iterator[StateChange]:
    return (StateChange(KIN, f"{key}/{number:08x}", value) for number, value in rows)


def _load(key: str, state: State, most_bytes: int) -> TraceState:
    trace = TraceState(most_bytes)
    spans = trace.rows.read((int(row.rpartition("/")[2], 16), value) for row, value in state.scan(KIN, f"{key}/"))
    if not spans:
        return trace
    told = {row.rpartition("/")[2]: _decode_told(value) for row, value in state.scan(TOLD, f"{key}/")}
    decoded = [(span_id, raw, _decode(raw)) for span_id, raw in spans.items()]
    for span_id, raw, kin in sorted(decoded, key=lambda row: row[2].start_ns):
        revision, digest = told.get(span_id, (-1, 0))
        if revision > kin.revision:
            kin.revision, kin.digest = revision, digest
        trace.put(span_id, kin)
        trace.weigh(span_id, len(raw))
    for span_id, _, _ in trace.forget_oldest():  # it was before, and its row is there for the sake of others only
        trace.rows.leave(span_id)
    trace.newly_covered.clear()
    return trace
