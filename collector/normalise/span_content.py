"""What a span holds of the conversation: a tool's arguments and answer, what was heard and said, a graph's state."""

from __future__ import annotations

from typing import Any

from collector.normalise import messages as said
from collector.normalise.content import heard_fields, heard_in, spoke_fields, spoke_in, state_fields
from collector.normalise.sources import Sources
from collector.normalise.span_fields import SpanFields
from collector.normalise.unwrap import arguments, parsed, result
from schemas.step import STEP


def args_of(values: SpanFields) -> Any:
    """Read what a tool was asked; None where that is not told."""
    return arguments(values.first("args", "tool_input"))


def result_of(values: SpanFields) -> Any:
    """Read what a tool answered, out of what it is wrapped in."""
    return result(values.first("result", "tool_output"))


def conversation_fields(values: SpanFields) -> dict[str, Any]:
    """Give the fields of a step that hold what was heard and said."""
    heard, spoke = _heard(values), _spoke(values)
    fields = heard_fields(heard) if heard else {}
    if spoke:
        fields.update(spoke_fields(spoke))
    return fields


def _heard(values: SpanFields) -> list[said.Message]:
    view, found = values.view, values.found
    if values.shape.heard:
        heard = said.flattened(view.attributes, values.shape.heard, recent=True)
    elif "input" in found:
        heard = said.messages_in(values.input(), "user", recent=True)
    else:
        heard = heard_in(view.events)
    prompt = found.get("system_prompt")
    if prompt is None:
        return heard
    return [said.Message("system", [said.joined(said.messages(prompt))]), *heard]


def _spoke(values: SpanFields) -> list[said.Message]:
    view, found = values.view, values.found
    if values.shape.spoke:
        return said.flattened(view.attributes, values.shape.spoke)
    output, calls = found.get("output"), found.get("calls")
    spoke = said.messages(output, "assistant") if output is not None else spoke_in(view.events)
    return spoke if calls is None else [*spoke, said.message({"role": "assistant", "tool_calls": calls})]


def state_of(values: SpanFields, state_keys: Sources) -> dict[str, Any]:
    """Give the fields of a step that hold a state; `state_keys` are attributes that carry one by custom."""
    value = values.found.get("state")
    if value is None and not values.shape.names.isdisjoint(state_keys):
        value = values.view.first(state_keys)
    if value is None and values.kind == STEP and values.text("node"):
        value = _state_of_node(values)
    return state_fields(value) if value is not None else {}


def _state_of_node(values: SpanFields) -> Any:
    """Read the state that a graph hands to a node, where the dialect says which attribute that is."""
    get = values.view.attributes.get
    if values.metadata.get("langgraph_node"):
        value = get("input.value")
        read = values.input() if value is not None and value is values.found.get("input") else parsed(value)
    elif get("langsmith.metadata.langgraph_node"):
        read = parsed(get("gen_ai.prompt"))
    elif get("traceloop.association.properties.langgraph_node"):
        read = arguments(get("gen_ai.task.input") or get("traceloop.entity.input"))
    else:
        read = None
    return read if isinstance(read, dict) else None
