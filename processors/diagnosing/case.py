"""What is kept of a whole run: its last steps one by one, and of those before them totals, the first and the failed.

Notes are taken in in any order: of each span the highest revision counts, and what is decided here depends on the
notes alone. Only steps further behind than the window, which no contract promises to hear, are left out and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from processors.diagnosing.notes import Note
from schemas.run_summary import RunFigures
from schemas.step import LLM, TOOL

WITH_TEXT = 64
"""Steps at either end of a run whose texts are kept; in the middle of a longer one only what they were."""
MOST_MARKED = 64
"""Failed steps that are kept of those before the window: the first ones."""
MOST_ROOTS = 8
"""Roots that stand apart: the first ones. More, which no sound client sends, are steps like others."""
MOST_NAMES = 64
OTHERS = "(others)"
"""Stands for the names of tools, agents and models beyond those."""


class Totals(msgspec.Struct, array_like=True):
    """Sums over steps; names in the order of their first step."""

    steps: int = 0
    llm_calls: int = 0
    tool_calls: int = 0
    errors: int = 0
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    llm_ns: int = 0
    tool_ns: int = 0
    started_ns: int = 0
    ended_ns: int = 0
    tools: dict[str, int] = {}
    agents: dict[str, int] = {}
    models: dict[str, int] = {}

    def add(self, note: Note) -> None:
        """Count a step."""
        self.started_ns = min(self.started_ns, note.start_ns) if self.steps else note.start_ns
        self.ended_ns = max(self.ended_ns, note.end_ns)
        self.steps += 1
        self.errors += bool(note.error)
        self.input += note.input
        self.output += note.output
        self.cache_read += note.cache_read
        self.cost_usd += note.cost_usd or 0.0
        self.unpriced += note.cost_usd is None and bool(note.input or note.output)
        _count(self.agents, note.agent)
        if note.kind == LLM:
            self.llm_calls += 1
            self.llm_ns += note.duration_ns
            _count(self.models, note.model)
        elif note.kind == TOOL:
            self.tool_calls += 1
            self.tool_ns += note.duration_ns
            _count(self.tools, note.name)

    def figures(self) -> RunFigures:
        """Write them as a summary has them."""
        return RunFigures(
            steps=self.steps,
            llm_calls=self.llm_calls,
            tool_calls=self.tool_calls,
            errors=self.errors,
            input_tokens=self.input,
            output_tokens=self.output,
            cache_read_tokens=self.cache_read,
            cost_usd=round(self.cost_usd, 9),
            unpriced_calls=self.unpriced,
            llm_ns=self.llm_ns,
            tool_ns=self.tool_ns,
            tools=self.tools,
            agents=tuple(sorted(self.agents)),
            models=tuple(sorted(self.models)),
        )


def _count(names: dict[str, int], name: str) -> None:
    if name:
        kept = name if name in names or len(names) < MOST_NAMES else OTHERS
        names[kept] = names.get(kept, 0) + 1


class Case(msgspec.Struct, array_like=True):
    """A run. `window` is in order and still has steps that were taken back, so that places in it do not move.

    `totals`, `opening` and `marked` are of the steps before it, of which `settled` is the last one's place.
    `roots` stand apart: a root begins first and is told last.
    """

    totals: Totals
    opening: list[Note]
    marked: list[Note]
    window: list[Note]
    roots: list[Note]
    settled: tuple[int, str] | None = None
    late: int = 0

    @property
    def has_steps(self) -> bool:
        """Say whether any step is left of the run."""
        return bool(self.totals.steps) or any(not note.retracted for note in (*self.roots, *self.window))

    def take(self, notes: Iterable[Note], most: int) -> None:
        """Take notes in, and settle the steps that are more than `most` behind the last one."""
        kept = _by_span((*self.roots, *self.window))
        for note in notes:
            if self._is_behind(note, kept):
                self.late += 1
            elif note.span_id not in kept or note.revision >= kept[note.span_id].revision:
                kept[note.span_id] = note
        ordered = sorted(kept.values(), key=_order)
        self.roots = [note for note in ordered if note.is_root][:MOST_ROOTS]
        apart = {note.span_id for note in self.roots}
        self.window = [note for note in ordered if note.span_id not in apart]
        self._settle(len(self.window) - most)
        self._thin()

    def steps(self) -> Sequence[Note]:
        """Give the steps that are still known by themselves, in order: the first, the failed, the last."""
        kept = {note.span_id: note for note in (*self.roots, *self.opening, *self.marked, *self.window)}
        return sorted((note for note in kept.values() if not note.retracted), key=_order)

    def all_totals(self) -> Totals:
        """Add up the whole run."""
        totals = msgspec.convert(msgspec.to_builtins(self.totals), Totals)
        for note in (*self.window, *self.roots):
            if not note.retracted:
                totals.add(note)
        return totals

    def _is_behind(self, note: Note, kept: Mapping[str, Note]) -> bool:
        if self.settled is None or note.order > self.settled or note.span_id in kept:
            return False
        return not note.is_root or len(self.roots) == MOST_ROOTS

    def _settle(self, count: int) -> None:
        if count <= 0:
            return
        gone, self.window = self.window[:count], self.window[count:]
        self.settled = max(gone[-1].order, self.settled or gone[-1].order)
        for note in gone:
            if len(self.opening) < WITH_TEXT:
                self.opening.append(note)
            if note.retracted:
                continue
            self.totals.add(note)
            if note.error and len(self.marked) < MOST_MARKED:
                self.marked.append(note)

    def _thin(self) -> None:
        """Let go of the texts in the middle."""
        first, last = max(0, WITH_TEXT - len(self.opening)), len(self.window) - WITH_TEXT
        for place in range(first, last):
            self.window[place] = self.window[place].without_texts()
        self.marked = [note.without_texts() for note in self.marked]


def new_case() -> Case:
    """Begin a run."""
    return Case(Totals(tools={}, agents={}, models={}), [], [], [], [])


def _by_span(notes: Iterable[Note]) -> dict[str, Note]:
    return {note.span_id: note for note in notes}


def _order(note: Note) -> tuple[int, str]:
    return note.order
