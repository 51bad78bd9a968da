"""A run as its steps hang together: whose they are, who leads, which may have led to which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from processors.diagnosing.notes import Note
from schemas.step import EVALUATION, GUARDRAIL, LLM, OTHER, TOOL

DEEPEST = 64
"""Ancestors that are looked at; parents come from clients, which may tie them in circles."""
SAYS_SOMETHING = 20
"""Characters from which on what a model says is more than a token of the protocol."""
ASIDE = (OTHER, GUARDRAIL, EVALUATION)
"""Kinds that do none of a run's work."""


class Flow:
    """The steps of a run, in order. `workers` are those that do its work, `roots` the spans it all hangs under."""

    def __init__(self, steps: Sequence[Note]) -> None:
        self.steps = steps
        self._by_span = {note.span_id: note for note in steps}
        self._places = {note.span_id: place for place, note in enumerate(steps)}
        parents = {note.parent_id for note in steps}
        self.roots = [note for note in steps if note.is_root]
        self.workers = [note for note in steps if _works(note, note.span_id in parents)]
        self._agents: dict[str, str] = {}
        self.lead = self._lead()
        self._callers = self._who_called()
        self._calls: dict[str, list[Note]] = {}
        for note in self.workers:
            if note.span_id in self._callers:
                self._calls.setdefault(self._callers[note.span_id].span_id, []).append(note)
        self._last_success = {(note.kind, note.name): self.place(note) for note in self.workers if not note.error}

    def find(self, span_id: str) -> Note | None:
        """Find a step by its span."""
        return self._by_span.get(span_id)

    def place(self, note: Note) -> int:
        """Say which of the steps that are known it is."""
        return self._places[note.span_id]

    def agent(self, note: Note) -> str:
        """Say whose step it is: its own word, else that of the nearest ancestor that says so."""
        known = self._agents.get(note.span_id)
        if known is None:
            known = note.agent or next((above.agent for above in self.above(note) if above.agent), "")
            self._agents[note.span_id] = known
        return known

    def above(self, note: Note) -> Iterator[Note]:
        """Give a step's ancestors, nearest first."""
        for _ in range(DEEPEST):
            parent = self._by_span.get(note.parent_id)
            if parent is None or parent is note:
                return
            yield parent
            note = parent

    def caller(self, note: Note) -> Note | None:
        """Give the model's step that asked for a tool call, as far as that shows."""
        return self._callers.get(note.span_id)

    def calls_of(self, note: Note) -> Sequence[Note]:
        """Give the tool calls that a model's step asked for."""
        return self._calls.get(note.span_id, ())

    def worked_later(self, note: Note) -> bool:
        """Say whether what a failed step did worked afterwards."""
        return self._last_success.get((note.kind, note.name), -1) > self.place(note)

    def leads_to(self, cause: Note, effect: Note) -> bool:
        """Say whether a step may have led to another: it was over, or its branch was, before that one's began."""
        if cause.span_id == effect.span_id:
            return True
        one, other = self._line(cause), self._line(effect)
        shared = 0
        while shared < min(len(one), len(other)) and one[shared] is other[shared]:
            shared += 1
        if shared == len(one):
            return cause.start_ns <= effect.start_ns and bool(cause.error) and not effect.error
        if shared == len(other):
            return True  # what happened inside of a step shows in how the step ends
        return one[shared].end_ns <= other[shared].start_ns

    def _line(self, note: Note) -> list[Note]:
        return [*reversed(list(self.above(note))), note]

    def _lead(self) -> str:
        """Name the agent that hands the work to others: the root's, where others work under it."""
        root = self.roots[0] if self.roots else None
        if root is None or not root.agent:
            return ""
        others = any(note.kind == LLM and self.agent(note) != root.agent for note in self.workers)
        return root.agent if others else ""

    def _who_called(self) -> dict[str, Note]:
        """Match tool calls with the steps that asked: by their id, else the last one of the same agent or any."""
        found: dict[str, Note] = {}
        asked: dict[str, Note] = {}
        last: dict[str, Note] = {}
        for note in self.workers:
            if note.kind == LLM:
                asked.update(dict.fromkeys(note.calls, note))
                last[self.agent(note)] = last[""] = note
            elif note.kind == TOOL:
                caller = asked.get(note.call_id) if note.call_id else None
                caller = caller or last.get(self.agent(note)) or last.get("")
                if caller is not None:
                    found[note.span_id] = caller
        return found


def _works(note: Note, has_parts: bool) -> bool:
    if note.kind in ASIDE or note.is_root:
        return False
    if note.kind == LLM:
        return note.said_size >= SAYS_SOMETHING or bool(note.calls or note.error)
    return not has_parts
