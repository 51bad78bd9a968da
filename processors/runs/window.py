"""The last steps of one run, in order, and the detectors' folds over them: insert, replace, retract, rewind, replay.

In order a step costs one observation. Out of order the folds are put back to the snapshot before it and the
steps after it are shown again, at most `lateness_steps` of them. Steps that left the window are final.
What is new is shown once it is all there (`settle`), to one detector after the other: the code of one then stays in
the processor's cache. Owned by one thread, the runtime's; nothing here is locked.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from processors.detector import At
from processors.runs.fold import Fold, FoldCodec, episode_key
from processors.runs.window_rows import WindowRows
from schemas.step import SpanRef

SNAPSHOT_EVERY = 64
"""Steps between two snapshots: what a late step costs at least to replay, and how finely the window is cut."""

Order = tuple[int, str]


class Entry(msgspec.Struct, array_like=True, gc=False):
    """One step as the window keeps it: where it stands, whose it is, what each detector remembers of it.

    `trace_id` is empty where it is the run's id, as for most.
    """

    start_ns: int
    end_ns: int
    span_id: str
    trace_id: str
    seen_ns: int
    agent: str
    items: tuple[Any, ...]
    billed: bytes = b""

    @property
    def order(self) -> Order:
        """Place within the run."""
        return (self.start_ns, self.span_id)

    def at(self, run_id: str) -> At:
        """Say where this is, for a detector."""
        return At(self.start_ns, self.end_ns, SpanRef(self.trace_id or run_id, self.span_id), self.agent)


class DetectorFailure(Exception):  # noqa: N818  # it is reported, not raised
    """A detector raised. Its fold of this run is switched off; `detector` says which, `__cause__` why."""

    def __init__(self, detector: str, cause: Exception) -> None:
        super().__init__(f"{detector}: {type(cause).__name__}: {cause}")
        self.detector = detector
        self.__cause__ = cause


class RunWindow:
    """The window of one run."""

    def __init__(self, run_id: str, codecs: Sequence[FoldCodec], base: list[bytes] | None = None) -> None:
        self._run_id = run_id
        self._codecs = codecs
        self.folds = [codec.unpack(data) for codec, data in zip(codecs, base, strict=True)] if base else self._begin()
        self.entries: list[Entry] = []
        self.by_span: dict[str, Entry] = {}
        self.frontier: Order | None = None
        self.earliest_ns: int | None = None
        """No entry was seen (bus time) before this; None while there has been none."""
        self.failures: list[DetectorFailure] = []
        self.touched: set[tuple[int, str]] = set()
        self._snapshots: list[list[bytes]] = [base or self._pack()]
        self._dirty_from: int | None = None
        self._shown = 0
        """Steps that the folds have seen, from the first one of the window on."""
        self.rows = WindowRows(SNAPSHOT_EVERY)

    # --- changing the window ---

    def insert(self, entry: Entry) -> bool:
        """Put a step in its place; returns False where its place has left the window already."""
        order, entries = (entry.start_ns, entry.span_id), self.entries
        if self.frontier is not None and order <= self.frontier:
            return False
        self.by_span[entry.span_id] = entry
        if self.earliest_ns is None or entry.seen_ns < self.earliest_ns:
            self.earliest_ns = entry.seen_ns
        if not entries or order > _order(entries[-1]):
            self.rows.changed(len(entries))
            entries.append(entry)
            return True
        place = bisect_left(entries, order, key=_order)
        entries.insert(place, entry)
        self.rows.moved(place, len(entries))
        self._touch(place)
        return True

    def replace(self, old: Entry, new: Entry) -> None:
        """Put a revised step where the one it replaces stood; `changed` decides whether detectors see it again."""
        if old.order != new.order:
            self.remove(old)
            self.insert(new)
            return
        place = bisect_left(self.entries, old.order, key=_order)
        self.entries[place] = new
        self.rows.changed(place)
        self.by_span[new.span_id] = new
        if self._changed(old, new):
            self._touch(place)

    def remove(self, entry: Entry) -> None:
        """Take a retracted step out."""
        place = bisect_left(self.entries, entry.order, key=_order)
        self.rows.moved(place, len(self.entries))
        del self.entries[place]
        del self.by_span[entry.span_id]
        self._touch(place)

    def settle(self, lateness_steps: int) -> bool:
        """Show what is new, or anew from where the order changed; lets go of steps beyond the window.

        Returns whether the order changed.
        """
        dirty_from, self._dirty_from = self._dirty_from, None
        if dirty_from is not None:
            self._rewind(dirty_from)
        self.show()
        while len(self.entries) > lateness_steps + SNAPSHOT_EVERY:
            self._let_go()
        return dirty_from is not None

    def show(self) -> None:
        """Show the folds what is new; nothing as long as they have to be put back first, which `settle` does."""
        while self._dirty_from is None and self._shown < len(self.entries):
            self._show_some(self.entries[self._shown : self._shown + SNAPSHOT_EVERY - self._shown % SNAPSHOT_EVERY])

    def wake(self, number: int, now_ns: int) -> None:
        """Wake one detector whose deadline has passed."""
        fold = self.folds[number]
        try:
            self.touched.update((number, episode_key(finding)) for finding in fold.on_deadline(now_ns))
        except Exception as error:  # noqa: BLE001  # as in `_observe`
            self._fail(fold, error)

    def has_left(self, order: Order) -> bool:
        """Say whether a place may have held a step that is no longer here: it is behind the window, or all is new."""
        return not self.entries if self.frontier is None else order <= self.frontier

    def seen_past(self, end_ns: int) -> int | None:
        """Say when (bus time) the window first showed a step that ended after `end_ns`; None where none did."""
        return min((entry.seen_ns for entry in self.entries if entry.end_ns > end_ns), default=None)

    # --- taking it out and putting it back ---

    def base(self) -> list[bytes]:
        """Return the folds before the first step of the window, as bytes."""
        return self._snapshots[0]

    def row(self, number: int) -> list[Entry]:
        """Give the steps of one row; none where the window ends before it."""
        return self.entries[number * SNAPSHOT_EVERY : (number + 1) * SNAPSHOT_EVERY]

    def refill(self, entries: Iterable[Entry], frontier: Order | None, first_row: int) -> None:
        """Fill a fresh window with the steps it had, in order, showing each to the detectors."""
        for entry in entries:
            self.insert(entry)
        self.show()
        self.frontier, self.rows = frontier, WindowRows(SNAPSHOT_EVERY, first_row, stored=True)

    # --- the folds ---

    def _begin(self) -> list[Fold]:
        return [codec.begin() for codec in self._codecs]

    def _pack(self) -> list[bytes]:
        return [codec.pack(fold) for codec, fold in zip(self._codecs, self.folds, strict=True)]

    def _changed(self, old: Entry, new: Entry) -> bool:
        if old.items != new.items or old.end_ns != new.end_ns:
            return True
        return old.agent != new.agent and any(codec.detector.by_agent for codec in self._codecs)

    def _touch(self, place: int) -> None:
        self._dirty_from = place if self._dirty_from is None else min(self._dirty_from, place)

    def _show_some(self, entries: Sequence[Entry]) -> None:
        """Show steps up to the next snapshot, or fewer."""
        steps = [(entry.at(self._run_id), entry.items) for entry in entries]
        for number, fold in enumerate(self.folds):
            if not fold.broken:
                self._observe(number, fold, steps)
        self._shown += len(entries)
        if self._shown % SNAPSHOT_EVERY == 0:
            self._snapshots.append(self._pack())

    def _observe(self, number: int, fold: Fold, steps: Iterable[tuple[At, tuple[Any, ...]]]) -> None:
        try:
            for at, items in steps:
                item = items[number]
                if item is not None:
                    for finding in fold.observe(at, item):
                        self.touched.add((number, episode_key(finding)))
        except Exception as error:  # noqa: BLE001  # a detector's bug must not take the others down; it is reported
            self._fail(fold, error)

    def _fail(self, fold: Fold, error: Exception) -> None:
        fold.fail()
        self.failures.append(DetectorFailure(fold.detector.name, error))

    def _rewind(self, place: int) -> None:
        """Put the folds back to the last snapshot before a place."""
        snapshot = min(place // SNAPSHOT_EVERY, len(self._snapshots) - 1)
        del self._snapshots[snapshot + 1 :]
        packed = self._snapshots[snapshot]
        self.folds = [codec.unpack(data) for codec, data in zip(self._codecs, packed, strict=True)]
        self._shown = snapshot * SNAPSHOT_EVERY

    def _let_go(self) -> None:
        gone, self.entries = self.entries[:SNAPSHOT_EVERY], self.entries[SNAPSHOT_EVERY:]
        del self._snapshots[0]
        self._shown -= SNAPSHOT_EVERY
        self.rows.let_go()
        self.frontier = gone[-1].order
        for entry in gone:
            del self.by_span[entry.span_id]


def _order(entry: Entry) -> Order:
    return (entry.start_ns, entry.span_id)
