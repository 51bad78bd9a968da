"""What a step gets from its relatives, its agent's name, conversation, content its span left out, and what it loses.

Everything here is a function of the set of spans known, never of the order in which they came.
"""

from __future__ import annotations

from typing import Any

import msgspec

from collector.normalise.log_facts import asked_for, cost_of, fields_from
from collector.normalise.reading import Content, spoken
from collector.normalise.trace_state import Kin, TraceState
from collector.normalise.unwrap import parsed
from schemas.step import AGENT, LLM, TOOL, Step, ToolAnswer

NODE_IS_AGENT = ("langgraph", "langchain")
"""Frameworks without agents of their own: where nobody else is named, the node is."""
INHERITED = ("conversation_id", "workflow", "user", "framework")


def effective(trace: TraceState, span_id: str) -> Step | None:
    """Say what a span's step is by all that is known now; None where there is nothing to publish."""
    kin = trace.kin[span_id]
    if kin.step is None or not kin.arrived:
        return None
    step = msgspec.structs.replace(kin.step, **_from_logs(trace, kin))
    changes = {**_from_ancestors(trace, span_id, step), **_from_calls(trace, step)}
    if span_id in trace.covered and (step.usage is not None or step.cost_usd is not None):
        changes |= {"usage": None, "cost_usd": None}
    if _is_second_report(trace, span_id, step):
        changes["retracted"] = True
    return msgspec.structs.replace(step, **changes) if changes else step


# --- logs ---


def _from_logs(trace: TraceState, kin: Kin) -> dict[str, Any]:
    step = kin.step
    if step is None:
        return {}
    found = fields_from(kin.facts, step) if kin.facts else {}
    if step.kind == LLM and step.cost_usd is None and kin.parent:
        cost = _cost_from_parent(trace, kin, step)
        if cost is not None:
            found["cost_usd"] = cost
    return found


def _cost_from_parent(trace: TraceState, kin: Kin, step: Step) -> float | None:
    """Find what a call cost among the records that name its parent: the first told after it began, by its figures."""
    above = trace.kin.get(kin.parent)
    if above is None or step.usage is None:
        return None
    for fact in sorted(above.facts, key=lambda fact: fact[0]):
        cost = cost_of(fact)
        told = fact[2]
        if cost is None or fact[0] < step.start_ns or told.get("model") != step.model:
            continue
        if told.get("output_tokens") == step.usage.output and _input_of(told) == step.usage.input:
            return cost
    return None


def _input_of(told: dict[str, Any]) -> int:
    parts = (told.get(key) for key in ("input_tokens", "cache_read_tokens", "cache_creation_tokens"))
    return sum(part for part in parts if isinstance(part, int))


# --- ancestors ---


def _from_ancestors(trace: TraceState, span_id: str, step: Step) -> dict[str, Any]:
    agent, missing = step.agent, [field for field in INHERITED if not getattr(step, field)]
    found: dict[str, Any] = {}
    if not agent or missing:
        for _, above in trace.ancestors(span_id):
            if above.step is None:
                continue
            if not agent and above.step.kind == AGENT and above.step.agent:
                agent = above.step.agent
            for field in [one for one in missing if getattr(above.step, one)]:
                found[field] = getattr(above.step, field)
                missing.remove(field)
            if agent and not missing:
                break
    framework = found.get("framework", step.framework)
    if not agent and framework in NODE_IS_AGENT and step.kind != AGENT:
        agent = step.node
    if agent != step.agent:
        found["agent"] = agent
    return found


# --- tool calls told from two sides ---


def _from_calls(trace: TraceState, step: Step) -> dict[str, Any]:
    """Fill in arguments and result of a tool from the model's side of the same call."""
    if step.kind != TOOL or not step.tool_call_id or (step.args_hash and step.result_hash):
        return {}
    found: dict[str, Any] = {}
    for other in sorted(trace.by_call.get(step.tool_call_id, ())):
        said = trace.kin[other].step if other in trace.kin else None
        if said is None or said.kind != LLM:
            continue
        call = asked_for(said.calls, step.tool_call_id)
        if call is not None and call.args_hash and not step.args_hash:
            found |= spoken(Content(args=parsed(call.args)))
            found["args_hash"] = call.args_hash
        if not step.result_hash:
            found |= _answered(said.answers, step.tool_call_id)
    return found


def _answered(answers: Any, call_id: str) -> dict[str, Any]:
    answer: ToolAnswer | None = next((one for one in answers if one.id == call_id), None)
    if answer is None:
        return {}
    return {"result": answer.result, "result_hash": answer.result_hash, "result_size": len(answer.result)}


# --- the same call reported twice ---


def _is_second_report(trace: TraceState, span_id: str, step: Step) -> bool:
    group = _reports_of(trace, span_id, step)
    return len(group) > 1 and _best(trace, group) != span_id


def _reports_of(trace: TraceState, span_id: str, step: Step) -> list[str]:
    """List the spans that report the same call as this one."""
    if step.kind == LLM:
        top = _top_of(trace, span_id, step)
        group = {top, *_nested(trace, top)} if top != span_id or trace.children.get(span_id) else {span_id}
        if step.response_id:
            group |= set(trace.by_response.get(step.response_id, ()))
        return sorted(one for one in group if _kind(trace, one) == LLM)
    if step.kind == TOOL:
        top = _top_of(trace, span_id, step)
        return sorted({top, *_nested(trace, top)})
    return [span_id]


def _top_of(trace: TraceState, span_id: str, step: Step) -> str:
    """Climb from a report to the outermost one of the same call; spans that are no steps do not interrupt."""
    top = span_id
    for above_id, above in trace.ancestors(span_id):
        if above.step is None:
            continue
        if not _same_call(above.step, step):
            break
        top = above_id
    return top


def _nested(trace: TraceState, top: str) -> list[str]:
    outer = trace.kin[top].step
    if outer is None:
        return []
    found, below = [], list(trace.children.get(top, ()))
    while below:
        one = below.pop()
        kin = trace.kin.get(one)
        if kin is None or (kin.step is not None and not _same_call(outer, kin.step)):
            continue
        if kin.step is not None:
            found.append(one)
        below += trace.children.get(one, ())
    return found


def _same_call(outer: Step, inner: Step) -> bool:
    """Say whether one span inside another reports the same call again."""
    if outer.kind != inner.kind:
        return False
    if inner.kind == LLM:
        return not (outer.model and inner.model) or outer.model == inner.model
    return inner.kind == TOOL and outer.tool == inner.tool and outer.scope != inner.scope


def _best(trace: TraceState, group: list[str]) -> str:
    return min(group, key=lambda one: _rank(trace, one))


def _rank(trace: TraceState, span_id: str) -> tuple[int, int, str]:
    """Rank reports of one call: the one that says more first, then the one that began first."""
    kin = trace.kin[span_id]
    step = kin.step
    says = 0
    if step is not None:
        texts = (step.args_hash, step.result_hash, step.input_hash, step.output_hash, step.model)
        says = sum(map(bool, texts)) + bool(step.calls) + 2 * (step.usage is not None)
    return (-says, kin.start_ns, span_id)


def _kind(trace: TraceState, span_id: str) -> str:
    kin = trace.kin.get(span_id)
    return kin.step.kind if kin is not None and kin.step is not None else ""


def touched_by(trace: TraceState, span_id: str) -> set[str]:
    """List the spans whose step may change because this one is known now."""
    kin = trace.kin[span_id]
    touched = {span_id, *trace.descendants(span_id)}
    for above_id, _ in trace.ancestors(span_id):
        touched.add(above_id)
    step = kin.step
    if step is not None:
        for key in (step.tool_call_id, *(call.id for call in step.calls), *(answer.id for answer in step.answers)):
            touched.update(trace.by_call.get(key, ()))
        touched.update(trace.by_response.get(step.response_id, ()))
    return touched
