"""Runs in keyed state: a small head each, which changes with every batch, and a log of notes, which only grows.

A batch adds one row to a run's log, whatever the run's length; when many notes have come together the log is folded
into the case. Heads are held in memory as well, bounded; the rest is read when a run is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from collector.bus.held_state import HeldState
from collector.bus.protocol import State, StateChange
from processors.diagnosing.case import Case, new_case
from processors.diagnosing.notes import Note
from processors.diagnosing.told import Told
from processors.runs.state import Facts
from schemas.keys import join_key
from schemas.metrics import CACHE_EVICTED
from schemas.packed import packed, unpacked
from schemas.step import SpanRef

LIVE, ENDED = "live", "ended"
LOG, TOLD = "log", "told"
"""Heads of runs that go on and of those that are over, by key; notes by `key/number`, detections by `key/id`."""
HEAD_SCHEMA = 1
FOLD_AT = 512
"""Notes in a run's log at which it is folded."""
CASE = "case"
MOST_HEARD = 256
"""Detections of a run that are remembered: the first ones."""
HEADS_IN_MEMORY, HEAD_EXPANSION = 50_000, 8


class Shortfall(msgspec.Struct, frozen=True, array_like=True):
    """What was last told of a run's falling short: its version, what it said, and of which step and agent."""

    version: int
    digest: int
    span: SpanRef
    agent: str


class Head(msgspec.Struct, array_like=True):
    """What is known of a run at hand. `key` is its tenant and its id, joined; times are bus time.

    `rows` numbers the log, `fresh` counts the notes in it, `heard` the run's detections. `moved` says that something
    came since the summary was told whose `version` and `digest` these are. `shortfall` stands while its detection does.
    """

    schema: int
    key: str
    facts: Facts
    last_seen_ns: int = 0
    root_ended: bool = False
    rows: int = 0
    fresh: int = 0
    ended_ns: int = 0
    moved: bool = False
    heard: int = 0
    version: int = 0
    digest: int = 0
    shortfall: Shortfall | None = None

    @property
    def store(self) -> str:
        """Say where its row is."""
        return ENDED if self.ended_ns else LIVE


_encode = msgspec.msgpack.Encoder().encode
_head = msgspec.msgpack.Decoder(Head).decode
_notes = msgspec.msgpack.Decoder(list[Note]).decode
_case = msgspec.msgpack.Decoder(Case).decode
_told = msgspec.msgpack.Decoder(Told).decode


class RunLog:
    """The runs of one task. `memory_bytes` bounds the heads in memory; `most` is what a case keeps step by step."""

    def __init__(self, memory_bytes: int, most: int) -> None:
        self._heads: HeldState[Head] = HeldState("run_heads", HEADS_IN_MEMORY, memory_bytes, HEAD_EXPANSION)
        self._most = most
        self.live = self.ended = 0

    def restore(self, state: State) -> None:
        """Start from the committed state."""
        self._heads.clear()
        self.live, self.ended = state.count(LIVE), state.count(ENDED)

    def find(self, key: str, state: State) -> Head | None:
        """Give a run's head, from memory or from the committed state."""
        held = self._heads.get(key)
        if held is not None:
            return held
        data = state.get(LIVE, key) or state.get(ENDED, key)
        return _head(data) if data is not None else None

    def open(self, tenant: str, run_id: str, state: State) -> Head:
        """Give a run's head, or begin the run."""
        key = join_key(tenant, run_id)
        head = self.find(key, state)
        if head is None:
            head = Head(HEAD_SCHEMA, key, Facts())
            self.live += 1
        self._heads.use(key, head)
        return head

    def save(self, head: Head, due_ns: int) -> StateChange:
        """Make the change that stores a head, to be looked at again at `due_ns`."""
        data = _encode(head)
        if head.key in self._heads:
            self._heads.weigh(head.key, len(data))
        return StateChange(head.store, head.key, data, due_ns)

    def end(self, head: Head, at_ns: int) -> Iterator[StateChange]:
        """Move a head to the runs that are over."""
        if not head.ended_ns:
            self.live, self.ended = self.live - 1, self.ended + 1
            yield StateChange(LIVE, head.key, None)
        head.ended_ns = at_ns

    def reopen(self, head: Head) -> Iterator[StateChange]:
        """Move a head back to the runs that go on."""
        if head.ended_ns:
            self.live, self.ended = self.live + 1, self.ended - 1
            yield StateChange(ENDED, head.key, None)
        head.ended_ns = 0

    def add(self, head: Head, notes: Sequence[Note], state: State) -> Iterator[StateChange]:
        """Add a batch's notes to a run's log, and fold it where it has become long."""
        head.fresh += len(notes)
        if head.fresh <= FOLD_AT:
            yield StateChange(LOG, f"{head.key}/{head.rows:010}", packed(_encode(notes)))
            head.rows += 1
            return
        case = self.case(head, state)
        case.take(notes, self._most)
        yield from self.fold(head, case, state)

    def case(self, head: Head, state: State) -> Case:
        """Put a run together from the rows of its log that are committed."""
        case, notes = new_case(), list[Note]()
        for key, value in state.scan(LOG, f"{head.key}/"):
            if key.endswith(f"/{CASE}"):
                case = _case(unpacked(value))
            else:
                notes += _notes(unpacked(value))
        case.take(notes, self._most)
        return case

    def fold(self, head: Head, case: Case, state: State) -> Iterator[StateChange]:
        """Store a case in place of the rows that are in it."""
        yield StateChange(LOG, f"{head.key}/{CASE}", packed(_encode(case)))
        for key, _ in state.scan(LOG, f"{head.key}/"):
            if not key.endswith(f"/{CASE}"):
                yield StateChange(LOG, key, None)
        head.fresh = 0

    def told(self, head: Head, state: State) -> list[Told]:
        """Give the detections of a run, newest version of each."""
        return [_told(value) for _, value in state.scan(TOLD, f"{head.key}/")]

    def hear(self, head: Head, told: Sequence[Told], state: State) -> Iterator[StateChange]:
        """Keep detections that are newer than what is known of them."""
        newest: dict[str, Told] = {}
        for one in told:
            data = state.get(TOLD, f"{head.key}/{one.id}")
            known = newest.get(one.id) or (_told(data) if data is not None else None)
            if known is None and head.heard >= MOST_HEARD:
                CACHE_EVICTED.labels(cache="run_detections", reason="cap").inc()
            elif known is None or one.version > known.version:
                head.heard += known is None
                newest[one.id] = one
        head.moved = head.moved or bool(newest)
        for one in newest.values():
            yield StateChange(TOLD, f"{head.key}/{one.id}", _encode(one))

    def forget(self, head: Head, state: State) -> Iterator[StateChange]:
        """Let go of all that is kept of a run."""
        self._heads.drop(head.key)
        if head.ended_ns:
            self.ended -= 1
        else:
            self.live -= 1
        for store in (LOG, TOLD):
            for key, _ in state.scan(store, f"{head.key}/"):
                yield StateChange(store, key, None)
        yield StateChange(head.store, head.key, None)

    def trim(self) -> None:
        """Keep the heads in memory within their bound, once what they hold is on its way to be committed."""
        self._heads.trim()
