"""What a step gets from its relatives, its agent's name, conversation, content its span left out, and what it loses.

Everything here is a function of the set of spans known, never of the order in which they came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from collector.normalise.content import asked_fields
from collector.normalise.log_facts import arguments_told, asked_for, cost_of, fields_from
from collector.normalise.relatives import Relatives
from collector.normalise.second_reports import best_of
from collector.normalise.trace_state import Kin, TraceState
from collector.normalise.unwrap import parsed
from schemas.step import AGENT, LLM, TOOL, Step, ToolAnswer

NODE_IS_AGENT = ("langgraph", "langchain")
"""Frameworks without agents of their own: where nobody else is named, the node is."""


def effective(relatives: Relatives, span_id: str) -> Step | None:
    """Say what a span's step is by all that is known now; None where there is nothing to publish."""
    trace = relatives.trace
    kin = trace.kin[span_id]
    step = kin.step
    if step is None or not kin.arrived:
        return None
    if kin.facts or (step.kind == LLM and step.cost_usd is None and kin.parent):
        told = _from_logs(trace, kin, step)
        step = msgspec.structs.replace(step, **told) if told else step
    handed = relatives.handed_to(span_id)
    changes = _from_ancestors(step, handed) if handed or step.framework in NODE_IS_AGENT else {}
    if step.kind == TOOL:
        changes |= _from_calls(trace, step)
    reports = relatives.reports_of(span_id)
    if len(reports) > 1:
        changes |= _of_many(trace, span_id, reports)
    elif span_id in trace.covered and (step.usage is not None or step.cost_usd is not None):
        changes |= {"usage": None, "cost_usd": None}
    return msgspec.structs.replace(step, **changes) if changes else step


# --- logs ---


def _from_logs(trace: TraceState, kin: Kin, step: Step) -> dict[str, Any]:
    found = _told_of(kin)
    if step.kind == LLM and step.cost_usd is None and kin.parent:
        cost = _cost_from_parent(trace, kin, step)
        if cost is not None:
            found["cost_usd"] = cost
    return found


def _told_of(kin: Kin) -> dict[str, Any]:
    """Give what a span's own log records add to its step."""
    return fields_from(kin.facts, kin.step) if kin.facts and kin.step is not None else {}


def _cost_from_parent(trace: TraceState, kin: Kin, step: Step) -> float | None:
    """Find what a call cost among the records that name its parent: the first told after it began, by its figures."""
    above = trace.kin.get(kin.parent)
    if above is None or not above.facts or step.usage is None:
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


# --- the same call reported twice ---


def _of_many(trace: TraceState, span_id: str, reports: Sequence[str]) -> dict[str, Any]:
    """Say what becomes of one of several reports of a call: the best stands for all and has their usage."""
    if best_of(trace, reports) != span_id:
        return {"retracted": True, "usage": None, "cost_usd": None}
    if _covered_by_others(trace, span_id, reports):
        return {"usage": None, "cost_usd": None}
    steps = [trace.kin[one].step for one in sorted(reports, key=lambda one: (one != span_id, one))]
    return {
        "usage": next((one.usage for one in steps if one is not None and one.usage is not None), None),
        "cost_usd": next((one.cost_usd for one in steps if one is not None and one.cost_usd is not None), None),
    }


def _covered_by_others(trace: TraceState, span_id: str, reports: Sequence[str]) -> bool:
    """Say whether something below the reports of a call has usage and is none of them."""
    return span_id in trace.covered and any(
        trace.kin[one].used for report in reports for one in trace.descendants(report) if one not in reports
    )


# --- ancestors ---


def _from_ancestors(step: Step, handed: Mapping[str, str]) -> dict[str, Any]:
    agent = step.agent or handed.get("agent", "")
    found: dict[str, Any] = {
        field: name for field, name in handed.items() if field != "agent" and not getattr(step, field)
    }
    framework = found.get("framework", step.framework)
    if not agent and framework in NODE_IS_AGENT and step.kind != AGENT:
        agent = step.node
    if agent != step.agent:
        found["agent"] = agent
    return found


# --- tool calls told from two sides ---


def _from_calls(trace: TraceState, step: Step) -> dict[str, Any]:
    """Fill in arguments and result of a tool from what others tell of the same call: the model's side, log records."""
    if step.kind != TOOL or not step.tool_call_id or (step.args_hash and step.result_hash):
        return {}
    found: dict[str, Any] = {}
    tellers = [trace.kin[one] for one in sorted(trace.by_call.get(step.tool_call_id, ())) if one in trace.kin]
    for teller in tellers:
        if teller.step is not None and teller.step.kind == LLM:
            found = {**_from_model(teller, step), **found}
    if not step.args_hash and "args_hash" not in found:
        told = next(
            (args for one in tellers if (args := arguments_told(one.facts, step.tool_call_id)) is not None), None
        )
        found |= asked_fields(told)
    return found


def _from_model(teller: Kin, step: Step) -> dict[str, Any]:
    if teller.step is None:
        return {}
    told = _told_of(teller)
    found: dict[str, Any] = {}
    call = asked_for(told.get("calls", teller.step.calls), step.tool_call_id)
    if call is not None and call.args_hash and not step.args_hash:
        found |= asked_fields(parsed(call.args))
        found["args_hash"] = call.args_hash
    if not step.result_hash:
        found |= _answered(told.get("answers", teller.step.answers), step.tool_call_id)
    return found


def _answered(answers: Any, call_id: str) -> dict[str, Any]:
    answer: ToolAnswer | None = next((one for one in answers if one.id == call_id), None)
    if answer is None:
        return {}
    return {"result": answer.result, "result_hash": answer.result_hash, "result_size": len(answer.result)}
