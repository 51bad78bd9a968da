"""One span to one step, by what the span alone says. Pure; what relatives and logs add comes later.

What a set of attribute names cannot hold is not asked for: `shapes.py` knows that once for all spans of a set.
"""

from __future__ import annotations

from typing import Any

from collector.normalise.attributes import SpanView
from collector.normalise.content import answered_fields, asked_fields
from collector.normalise.failures import failure_of
from collector.normalise.kinds import CLAUDE_CODE_SCOPE, kind_of
from collector.normalise.shapes import Shape
from collector.normalise.sources import DIRECTION, FRAMEWORK_PROVIDERS, METRIC, STATE_KEYS, Sources
from collector.normalise.span_content import args_of, conversation_fields, result_of, state_of
from collector.normalise.span_fields import SpanFields
from collector.normalise.unwrap import parsed, text_of
from collector.normalise.usage import amount, usage_of
from schemas.runs import run_id_of
from schemas.step import AGENT, HANDOFF, LLM, NAME_CAP, OTHER, TOOL, WORKFLOW, Metric, SpanRef, Step

Fields = dict[str, Any]
"""Fields of a step. What is empty is left out: a field costs as much as it says."""

FINISHES = {
    "tool_calls": "tool_call",
    "tool_use": "tool_call",
    "tool-calls": "tool_call",
    "end_turn": "stop",
    "max_tokens": "length",
}
LINKS_CAP, METRICS_CAP = 32, 16
NAMES = (
    ("node", "node"),
    ("workflow", "workflow"),
    ("conversation_id", "conversation"),
    ("user", "user"),
    ("transfer_to", "transfer_to"),
    ("transfer_from", "transfer_from"),
)
"""Fields of a step that are one name, and the sources they are read from."""
FIELD_OF = {source: field for field, source in NAMES}
TOOL_NAME_BEGINNINGS = ("execute_tool ", "running tool: ", "Tool: ", "tools/call ", "tool.")
TRANSFER_TOOL = "transfer_to_"
PENDING = "pending_span"
"""Logfire announces a span this way before it has ended; the span itself follows."""


def read_step(view: SpanView, shape: Shape, tenant: str, state_keys: Sources = STATE_KEYS) -> Step | None:
    """Read a span; None where it says nothing about an agent."""
    kind = kind_of(view, shape.explicit)
    if kind == OTHER and (view.scope == CLAUDE_CODE_SCOPE or not shape.about_agents):
        return None
    if view.attributes.get("logfire.span_type") == PENDING:
        return None
    values = SpanFields(view, shape, kind)
    fields = _place(values, tenant)
    _names(values, fields)
    if shape.tells_call or values.own:
        _model_call(values, fields)
    result = _content(values, fields)
    fields.update(state_of(values, state_keys))
    error, error_type = failure_of(view, shape.tells_failure, values.own, result)
    if error or error_type:
        fields["error"], fields["error_type"] = error, error_type
    if shape.metrics:
        fields["metrics"] = _metrics(values)
    links = view.span.links
    if links:
        fields["links"] = [SpanRef(link.trace_id.hex(), link.span_id.hex()) for link in links[:LINKS_CAP]]
    return Step(**fields)


def read_names(view: SpanView, shape: Shape) -> dict[str, str]:
    """Read whose conversation a span belongs to that is no step itself: a request handler, a queue's consumer."""
    if not shape.handed_down:
        return {}
    found = {FIELD_OF[source]: text_of(view.first(names))[:NAME_CAP] for source, names in shape.handed_down}
    return {field: name for field, name in found.items() if name}


def _place(values: SpanFields, tenant: str) -> Fields:
    """Give the fields that every step has: where it stands, and who tells it."""
    view, dialect = values.view, values.shape.dialect
    span, origin, trace_id = view.span, view.origin, view.trace_id
    start_ns = span.start_time_unix_nano
    framework = values.own.get("framework", dialect.framework) or view.attributes.get("gen_ai.framework", "")
    return {
        "tenant": tenant,
        "run_id": run_id_of(dialect.name, view.attributes, trace_id),
        "trace_id": trace_id,
        "span_id": view.span_id,
        "kind": values.kind,
        "start_ns": start_ns,
        "end_ns": max(span.end_time_unix_nano, start_ns),
        "parent_span_id": view.parent,
        "is_root": not view.parent,
        "name": view.name[:NAME_CAP],
        "service": origin.service[:NAME_CAP],
        "framework": text_of(framework)[:NAME_CAP],
        "dialect": dialect.name,
        "scope": origin.scope[:NAME_CAP],
    }


# --- names ---


def _names(values: SpanFields, fields: Fields) -> None:
    found, metadata = values.found, values.metadata
    fields["agent"] = _agent(values)
    for field, source in NAMES:
        if source in found or metadata:
            fields[field] = values.text(source)
    if values.kind == TOOL:
        tool = fields["tool"] = _tool_name(values)
        fields["tool_call_id"] = values.text("tool_call_id")
        if tool.startswith(TRANSFER_TOOL) and not fields.get("transfer_to"):
            fields["transfer_to"] = _transferred_to(values, tool)
    if "acknowledged" in values.view.attributes:
        fields["acknowledged"] = _boolean(values.view.attributes["acknowledged"])


def _agent(values: SpanFields) -> str:
    found = values.text("agent")
    if not found and values.kind in (AGENT, WORKFLOW):
        found = text_of(values.own.get("agent_by_name"))[:NAME_CAP]
        if not found and values.view.name.startswith("invoke_agent "):
            found = values.view.name.removeprefix("invoke_agent ")
    return found[:NAME_CAP]


def _tool_name(values: SpanFields) -> str:
    found = values.text("tool") or text_of(values.own.get("tool_by_name"))
    if found:
        return found[:NAME_CAP]
    name = values.view.name
    for beginning in TOOL_NAME_BEGINNINGS:
        name = name.removeprefix(beginning)
    return name.removesuffix(".tool")[:NAME_CAP]


def _transferred_to(values: SpanFields, tool: str) -> str:
    """Read whom a hand-over tool hands over to: its arguments say so, or else its name does."""
    args = args_of(values)
    if isinstance(args, dict) and args.get("agent_name"):
        return text_of(args["agent_name"])[:NAME_CAP]
    target = tool.removeprefix(TRANSFER_TOOL)
    return "" if target == "agent" else target


# --- model calls ---


def _model_call(values: SpanFields, fields: Fields) -> None:
    found, own, limit = values.found, values.own, values.found.get("max_tokens")
    if "provider" in found:
        provider = values.text("provider")
        fields["provider"] = "" if provider in FRAMEWORK_PROVIDERS else provider
    if "model" in found:
        fields["model"] = values.text("model")
    if values.kind == LLM and "response_id" in found:
        fields["response_id"] = values.text("response_id")
    if "finish" in found:
        fields["finish"] = _finish(found["finish"])
    fields["usage"] = usage_of(found, values.shape.dialect, own)
    fields["cost_usd"] = amount(own.get("cost", found.get("cost")))
    if type(limit) is int and 0 < limit < 2**31:
        fields["max_tokens"] = limit


def _finish(said: Any) -> str:
    value = parsed(said)
    if isinstance(value, list):
        value = value[0] if value else ""
    text = text_of(value).rsplit(".", 1)[-1].lower()
    return FINISHES.get(text, text)[:NAME_CAP]


# --- content and figures ---


def _content(values: SpanFields, fields: Fields) -> Any:
    """Add what was asked, answered, heard and said; gives a tool's result, by which its failure may be known."""
    if values.kind == TOOL:
        result = result_of(values)
        fields.update(asked_fields(args_of(values)))
        fields.update(answered_fields(result))
        return result
    if values.kind != HANDOFF:
        fields.update(conversation_fields(values))
    return None


def _metrics(values: SpanFields) -> list[Metric]:
    get = values.view.attributes.get
    direction = _direction(text_of(get(DIRECTION)))
    found = [
        Metric(key.removeprefix(METRIC)[:NAME_CAP], float(value), direction)
        for key in values.shape.metrics
        if isinstance(value := get(key), int | float) and not isinstance(value, bool)
    ]
    return found[:METRICS_CAP]


def _boolean(value: Any) -> bool | None:
    if isinstance(value, str):
        return value.lower() == "true"
    return bool(value) if value is not None else None


def _direction(text: str) -> str:
    lowered = text.lower()
    if lowered.startswith(("up", "max", "higher", "increas")):
        return "up"
    return "down" if lowered.startswith(("down", "min", "lower", "decreas")) else ""
