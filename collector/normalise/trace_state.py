"""What is kept of a trace while relatives may still add to its steps: each span's step, as it alone says it, and kin.

Memory is bounded: the last `WAITING_STEPS` steps of a trace keep their content, older ones are final as they are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import msgspec

from collector.normalise.kin_rows import KinRows
from collector.normalise.log_facts import Fact, calls_told_by
from schemas.step import LLM, TOOL, Step

WAITING_STEPS = 1_000
KIN_SPANS = 8_000
"""Spans of a trace whose parents are remembered; beyond it the oldest are forgotten."""
FACTS_CAP = 256
TRACE_BYTES = 33_554_432
"""Bytes a trace may take as it is stored, where nothing else is said; beyond it the oldest steps are final, then the
oldest spans forgotten."""
SLIM_BYTES = 256
"""About what a step takes that is final."""


class Kin(msgspec.Struct, array_like=True):
    """One span of a trace. `step` is what the span alone says; None for a span that is no step, or is final by now.

    `revision` is that of the last publication, -1 for none; `digest` fingerprints it.
    `used` says that the span has token counts or a cost of its own, also once its step is final.
    `names` is what a span that is no step hands down; `final` says that the step's content was let go.
    """

    parent: str
    start_ns: int
    step: Step | None = None
    facts: list[Fact] = []
    revision: int = -1
    digest: int = 0
    arrived: bool = False
    used: bool = False
    names: dict[str, str] = {}
    final: bool = False


class TraceState:
    """The spans of one trace, by span id, `most_bytes` at most as they are stored. Owned by the normaliser's thread."""

    def __init__(self, most_bytes: int = TRACE_BYTES) -> None:
        self._most_bytes = most_bytes
        # Ordered dicts, since a dict looks for its first key through all that were deleted before it.
        self.kin: OrderedDict[str, Kin] = OrderedDict()
        self.children: dict[str, dict[str, None]] = {}
        self.covered: set[str] = set()
        self.crowded: set[str] = set()
        """Calls found to have so many spans below that what is among them makes no difference to any other."""
        self.by_call: dict[str, list[str]] = {}
        self.by_response: dict[str, list[str]] = {}
        self.told: dict[str, dict[str, None]] = {}
        self._entries: dict[str, list[tuple[dict[str, list[str]], str]]] = {}
        self.waiting: OrderedDict[str, None] = OrderedDict()
        self.newly_covered: list[str] = []
        self.sizes: dict[str, int] = {}
        self.size = 0
        self.last_seen_ns = 0
        self.rows = KinRows()

    def put(self, span_id: str, kin: Kin) -> None:
        """Take in a span, or what is known of one that has not come yet."""
        known = self.kin.get(span_id)
        if kin.facts:
            for call_id in (one for fact in kin.facts for one in calls_told_by(fact)):
                self._enter(self.by_call, call_id, span_id)
                self.told.setdefault(span_id, {})[call_id] = None
        if known is not None:
            kin.facts = [*known.facts, *kin.facts][-FACTS_CAP:]
            kin.revision, kin.digest = known.revision, known.digest
            kin.final = kin.final or known.final
        self.kin[span_id] = kin
        if kin.arrived:
            self.children.setdefault(kin.parent, {})[span_id] = None
            self._index(span_id, kin)

    def _index(self, span_id: str, kin: Kin) -> None:
        step = kin.step
        if step is not None:
            if not kin.final:
                self.waiting[span_id] = None
            if step.kind == LLM and step.response_id:
                self._enter(self.by_response, step.response_id, span_id)
            if step.tool_call_id:
                self._enter(self.by_call, step.tool_call_id, span_id)
            for call in step.calls if step.kind == LLM else ():
                self._enter(self.by_call, call.id, span_id)
            for answer in step.answers if step.kind == LLM else ():
                self._enter(self.by_call, answer.id, span_id)
        if kin.used or span_id in self.covered:
            self._cover(kin.parent)

    def _enter(self, index: dict[str, list[str]], key: str, span_id: str) -> None:
        if key:
            held = index.setdefault(key, [])
            if span_id not in held and len(held) < FACTS_CAP:
                held.append(span_id)
                self._entries.setdefault(span_id, []).append((index, key))

    def _cover(self, span_id: str) -> None:
        """Mark the ancestors of a span that has usage: theirs repeats it."""
        while span_id and span_id not in self.covered:
            self.covered.add(span_id)
            self.newly_covered.append(span_id)
            above = self.kin.get(span_id)
            span_id = above.parent if above is not None and above.arrived else ""

    def ancestors(self, span_id: str) -> Iterator[tuple[str, Kin]]:
        """Walk up from a span's parent as far as it is known."""
        seen = {span_id}
        kin = self.kin.get(span_id)
        while kin is not None and kin.parent and kin.parent not in seen:
            seen.add(kin.parent)
            above = self.kin.get(kin.parent)
            if above is None or not above.arrived:
                return
            yield kin.parent, above
            kin = above

    def descendants(self, span_id: str) -> Iterator[str]:
        """List everything below a span."""
        below = list(self.children.get(span_id, ()))
        seen = {span_id}
        while below:
            one = below.pop()
            if one in seen:
                continue
            seen.add(one)
            yield one
            below += self.children.get(one, ())

    def weigh(self, span_id: str, size: int) -> None:
        """Note how many bytes a span takes as it is stored."""
        self.size += size - self.sizes.get(span_id, 0)
        self.sizes[span_id] = size

    def settle(self) -> Iterator[tuple[str, str]]:
        """Let the oldest steps be final beyond what may wait; gives their span ids and why."""
        while self.waiting and (len(self.waiting) > WAITING_STEPS or self.size > self._most_bytes):
            reason = "cap" if len(self.waiting) > WAITING_STEPS else "bytes"
            span_id, _ = self.waiting.popitem(last=False)
            kin = self.kin.get(span_id)
            if kin is not None:
                kin.step, kin.final = slim(kin.step), True
                kin.facts = kin.facts if reason == "cap" else []
                self.weigh(span_id, SLIM_BYTES)
                yield span_id, reason

    def forget_oldest(self) -> Iterator[tuple[str, Kin, str]]:
        """Forget the kinship of the oldest spans beyond what is kept; gives span ids, what they were, and why."""
        while self.kin and (len(self.kin) > KIN_SPANS or self.size > self._most_bytes):
            reason = "cap" if len(self.kin) > KIN_SPANS else "bytes"
            span_id, kin = self.kin.popitem(last=False)
            self.size -= self.sizes.pop(span_id, 0)
            self.children.pop(span_id, None)
            self.covered.discard(span_id)
            self.crowded.discard(span_id)
            self.waiting.pop(span_id, None)
            siblings = self.children.get(kin.parent)
            if siblings is not None:
                siblings.pop(span_id, None)
                if not siblings:
                    del self.children[kin.parent]
                    if kin.parent not in self.kin:
                        self.covered.discard(kin.parent)
            self.told.pop(span_id, None)
            for index, key in self._entries.pop(span_id, ()):
                index[key].remove(span_id)
                if not index[key]:
                    del index[key]
            yield span_id, kin, reason


def slim(step: Step | None) -> Step | None:
    """Keep of a step that is final what its relatives need: who it is, and whether it is a tool."""
    if step is None:
        return None
    return Step(
        tenant=step.tenant,
        run_id=step.run_id,
        trace_id=step.trace_id,
        span_id=step.span_id,
        kind=step.kind,
        start_ns=step.start_ns,
        end_ns=step.end_ns,
        parent_span_id=step.parent_span_id,
        agent=step.agent,
        framework=step.framework,
        conversation_id=step.conversation_id,
        workflow=step.workflow,
        user=step.user,
        scope=step.scope,
        tool=step.tool if step.kind == TOOL else "",
    )
