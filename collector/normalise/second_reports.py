"""Spans that report the same call again: two instruments side by side, or one inside the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from collector.normalise.trace_state import Kin, TraceState
from schemas.step import LLM, OTHER, STEP, TOOL, Step

MOST = 64
"""Reports of one call looked at."""
CROWD = 256
"""Spans looked at below one for reports of it; where there are more it has none, so that a span costs no more for its
siblings. An instrument reports a call again within a few spans of it."""
WITHIN = {LLM: (OTHER,), TOOL: (OTHER, STEP)}
"""Kinds that may stand between two reports of one call, by the kind of call."""


def reports_of(trace: TraceState, span_id: str) -> Sequence[str]:
    """List the spans that report the same call as this one, itself among them."""
    kin = trace.kin.get(span_id)
    if kin is None or kin.step is None or kin.step.kind not in WITHIN or _is_alone(trace, span_id, kin, kin.step):
        return (span_id,)
    found, open_ = {span_id}, [span_id]
    while open_ and len(found) < MOST:
        for other in _neighbours(trace, open_.pop()):
            if other not in found:
                found.add(other)
                open_.append(other)
    return sorted(found) if len(found) > 1 else (span_id,)


def best_of(trace: TraceState, reports: Sequence[str]) -> str:
    """Choose the report that stands for all: the one that says most, then the one that began first."""
    return min(reports, key=lambda one: _rank(trace.kin[one], one))


def _is_alone(trace: TraceState, span_id: str, kin: Kin, step: Step) -> bool:
    """Say whether nobody can report the same call, by the first look: what nearly all calls are."""
    if span_id in trace.children or (step.response_id and len(trace.by_response.get(step.response_id, ())) > 1):
        return False
    above = trace.kin.get(kin.parent)
    if above is None or not above.arrived:
        return True
    kind = _kind(above)
    return bool(kind) and kind != step.kind and kind not in WITHIN[step.kind]


def _neighbours(trace: TraceState, span_id: str) -> Iterator[str]:
    step = trace.kin[span_id].step
    if step is None:
        return
    if step.kind == LLM and step.response_id:
        yield from trace.by_response.get(step.response_id, ())
    outer = _outer(trace, span_id, step)
    if outer is not None:
        yield outer
    yield from _inner(trace, span_id, step)


def _outer(trace: TraceState, span_id: str, step: Step) -> str | None:
    for above_id, above in trace.ancestors(span_id):
        kind = _kind(above)
        if kind == step.kind and above.step is not None:
            same = _same_call(above.step, step) and span_id in _inner(trace, above_id, above.step)
            return above_id if same else None
        if kind and kind not in WITHIN[step.kind]:
            return None
    return None


def _inner(trace: TraceState, span_id: str, step: Step) -> Sequence[str]:
    """List the reports right below a span; several model calls below one are calls of their own, not its reports."""
    if span_id in trace.crowded:
        return ()
    found, looked_at = calls_below(trace, span_id, step.kind, CROWD)
    if looked_at > CROWD or (step.kind == LLM and len(found) > 1):
        return ()
    return [one for one in found if (inner := trace.kin[one].step) is not None and _same_call(step, inner)]


def calls_below(trace: TraceState, span_id: str, call: str, most: int) -> tuple[list[str], int]:
    """List the calls of a kind right below a span, and how many spans were looked at; ends after `most` of them."""
    found, below, seen = list[str](), list(trace.children.get(span_id, ())), {span_id}
    while below and len(seen) <= most + 1:
        one = below.pop()
        if one in seen:
            continue
        seen.add(one)
        kind = _kind(trace.kin.get(one))
        if kind == call:
            found.append(one)
        elif not kind or kind in WITHIN[call]:
            below += trace.children.get(one, ())
    return found, len(seen) - 1


def _same_call(outer: Step, inner: Step) -> bool:
    if inner.kind == LLM:
        same_model = not (outer.model and inner.model) or outer.model == inner.model
        return same_model and (not (outer.response_id and inner.response_id) or outer.response_id == inner.response_id)
    return outer.tool == inner.tool and outer.scope != inner.scope


def _rank(kin: Kin, span_id: str) -> tuple[int, int, str]:
    step, says = kin.step, 0
    if step is not None:
        texts = (step.args_hash, step.result_hash, step.input_hash, step.output_hash, step.model)
        says = sum(map(bool, texts)) + bool(step.calls) + 2 * (step.usage is not None)
    return (-says, kin.start_ns, span_id)


def _kind(kin: Kin | None) -> str:
    return kin.step.kind if kin is not None and kin.step is not None else ""
