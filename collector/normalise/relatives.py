"""The relatives of a trace's spans while one batch is published: what is handed down, and whom a new span touches.

The trace does not change meanwhile, so that each answer is worked out once: a batch costs what it touches, not that
times the depth of the trace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from collector.normalise.second_reports import CROWD, WITHIN, calls_below, reports_of
from collector.normalise.trace_state import KIN_SPANS, Kin, TraceState
from schemas.step import AGENT, LLM

INHERITED = ("conversation_id", "workflow", "user", "framework")
"""What a step has of its nearest ancestor that says it; the agent only of ancestors that are agents."""
NOTHING: Mapping[str, str] = {}


class Relatives:
    """Answers about one trace, remembered; thrown away when the trace changes."""

    def __init__(self, trace: TraceState) -> None:
        self.trace = trace
        self._handed_on: dict[str, Mapping[str, str]] = {}
        self._reports: dict[str, Sequence[str]] = {}
        self._below_calls: dict[str, bool] = {"": False}

    def reports_of(self, span_id: str) -> Sequence[str]:
        """List the spans that report the same call as this one, itself among them."""
        found = self._reports.get(span_id)
        if found is None:
            found = self._reports[span_id] = reports_of(self.trace, span_id)
        return found

    def handed_to(self, span_id: str) -> Mapping[str, str]:
        """Give what a span's ancestors hand down to it: of each field what the nearest says."""
        parent = self.trace.kin[span_id].parent
        handed = self._handed_on.get(parent)
        return self._handed_by(parent, span_id) if handed is None else handed

    def _handed_by(self, above_id: str, span_id: str) -> Mapping[str, str]:
        """Climb from a parent as far as nobody did before, and hand down from there."""
        known, climbed, on_the_way = self._handed_on, [], {span_id}
        while above_id and above_id not in known:
            above = self.trace.kin.get(above_id)
            if above is None or not above.arrived:
                known[above_id] = NOTHING
                break
            if above_id in on_the_way:
                return self._handed_in_a_circle(span_id)
            on_the_way.add(above_id)
            climbed.append((above_id, above))
            above_id = above.parent
        handed = known.get(above_id, NOTHING)
        for above_id, above in reversed(climbed):
            own = _says(above)
            handed = known[above_id] = {**handed, **own} if own else handed
        return handed

    def _handed_in_a_circle(self, span_id: str) -> Mapping[str, str]:
        """Spans that are each other's ancestors: go round once."""
        handed: dict[str, str] = {}
        for _, above in self.trace.ancestors(span_id):
            handed = {**_says(above), **handed}
        return handed

    def touched_by(self, changed: Mapping[str, bool]) -> set[str]:
        """List the spans whose step may be another now that these are known; True where one said otherwise before."""
        touched = set(changed)
        trace, below_calls = self.trace, self._below_calls
        for span_id, anew in changed.items():
            kin = trace.kin[span_id]
            if span_id in trace.children:
                touched.update(trace.descendants(span_id) if anew else self._given_something(span_id, changed))
            below = below_calls.get(kin.parent)
            if below or (below is None and self._is_below_a_call(kin.parent)):
                touched.update(self._above(span_id))
            if trace.by_call or trace.by_response:
                touched.update(self._same_calls(span_id))
        if trace.newly_covered:
            touched.update(trace.newly_covered)
            trace.newly_covered.clear()
        for one in tuple(touched):
            if len(reports := self.reports_of(one)) > 1:
                touched.update(reports)
        return touched

    def _given_something(self, span_id: str, changed: Mapping[str, bool]) -> Iterable[str]:
        """List the children, and who below gets from this span, or past it, what nobody between says.

        Each span gets each field once, so that even a deep chain that comes child first costs no more than its length.
        """
        children = self.trace.children
        yield from children.get(span_id, ())
        offered = frozenset(_says(self.trace.kin[span_id])) | self.handed_to(span_id).keys()
        open_ = [(one, offered) for one in children.get(span_id, ())] if offered else []
        seen = {span_id}
        while open_:
            one, offered = open_.pop()
            if one in seen or one in changed:
                continue
            seen.add(one)
            yield one
            left = offered - _says(self.trace.kin[one]).keys()
            if left:
                open_ += [(below, left) for below in children.get(one, ())]

    def _is_below_a_call(self, above_id: str) -> bool:
        """Say whether a span or one above it is a model or tool call; climbs as far as nobody did before."""
        known, climbed = self._below_calls, list[str]()
        while above_id not in known:
            above = self.trace.kin.get(above_id)
            climbed.append(above_id)
            known[above_id] = False  # until it is known: spans may be each other's ancestors
            if above is None or not above.arrived:
                break
            if above.step is not None and above.step.kind in WITHIN:
                known[above_id] = True
                break
            above_id = above.parent
        below = known[above_id]
        known.update(dict.fromkeys(climbed, below))
        return below

    def _above(self, span_id: str) -> Iterable[str]:
        """List the calls above a span: whether they report what is below, and whose its usage is, may be other now."""
        near = set(WITHIN)
        for above_id, above in self.trace.ancestors(span_id):
            kind = above.step.kind if above.step is not None else ""
            if kind in WITHIN:
                yield above_id
                if kind in near:
                    yield from self._below_call(above_id, kind)
            if kind:
                near = {call for call in near if kind in WITHIN[call]}

    def _below_call(self, span_id: str, kind: str) -> Iterable[str]:
        """List the calls below one whose being its reports may have changed.

        Whether that below a model call is its report depends on how many there are; in a crowd none is any more.
        """
        if span_id in self.trace.crowded:
            return ()
        found, looked_at = calls_below(self.trace, span_id, kind, KIN_SPANS)
        if looked_at > CROWD:
            self.trace.crowded.add(span_id)
            return found
        return found if kind == LLM else ()

    def _same_calls(self, span_id: str) -> Iterable[str]:
        """List the spans that tell of the same calls."""
        trace, step = self.trace, self.trace.kin[span_id].step
        told = list(trace.told.get(span_id, ()))
        if step is not None:
            if step.tool_call_id:
                told.append(step.tool_call_id)
            if step.calls or step.answers:
                told += [*(call.id for call in step.calls), *(answer.id for answer in step.answers)]
            if step.response_id:
                yield from trace.by_response.get(step.response_id, ())
        for call_id in told:
            yield from trace.by_call.get(call_id, ())


def _says(kin: Kin) -> Mapping[str, str]:
    """Give what a span itself hands down."""
    step = kin.step
    if step is None:
        return kin.names
    said = {field: name for field in INHERITED if (name := getattr(step, field))}
    if step.kind == AGENT and step.agent:
        said["agent"] = step.agent
    return said
