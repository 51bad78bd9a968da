"""One span to one step, by what the span alone says. Pure; what relatives and logs add comes later."""

from __future__ import annotations

from typing import Any

from collector.normalise import messages as said
from collector.normalise.attributes import SpanView
from collector.normalise.content import Content, heard_in, spoke_in, spoken, state_fields
from collector.normalise.failures import failure_of
from collector.normalise.kinds import CLAUDE_CODE_SCOPE, kind_of
from collector.normalise.shapes import Shape, shape_of
from collector.normalise.sources import (
    DIRECTION,
    FRAMEWORK_PROVIDERS,
    METADATA,
    METRIC,
    STATE_KEYS,
    Sources,
)
from collector.normalise.unwrap import arguments, parsed, result, text_of
from collector.normalise.usage import amount, usage_of
from schemas.runs import run_id_of
from schemas.step import (
    HANDOFF,
    LLM,
    NAME_CAP,
    OTHER,
    STEP,
    TOOL,
    Metric,
    SpanRef,
    Step,
)

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


def read_step(view: SpanView, tenant: str, state_keys: Sources = STATE_KEYS) -> Step | None:
    """Read a span; None where it says nothing about an agent."""
    shape = shape_of(view.scope, view.attributes)
    kind = kind_of(view, shape.explicit)
    if kind == OTHER and (view.scope == CLAUDE_CODE_SCOPE or not shape.about_agents):
        return None
    if view.attributes.get("logfire.span_type") == PENDING:
        return None
    return _Reader(view, shape, kind, tenant, state_keys).step()


def read_names(view: SpanView) -> dict[str, str]:
    """Read whose conversation a span belongs to that is no step itself: a request handler, a queue's consumer."""
    shape = shape_of(view.scope, view.attributes)
    if not shape.handed_down:
        return {}
    found = {FIELD_OF[source]: text_of(view.first(names))[:NAME_CAP] for source, names in shape.handed_down}
    return {field: name for field, name in found.items() if name}


class _Reader:
    def __init__(self, view: SpanView, shape: Shape, kind: str, tenant: str, state_keys: Sources) -> None:
        self.view, self.shape, self.kind, self.tenant = view, shape, kind, tenant
        self.dialect = shape.dialect
        self.own = self.dialect.read(view)
        self.state_keys = state_keys
        self._input_read: Any = None
        self.found = shape.find(view.attributes)
        if self.own:
            self.found.update((field, value) for field, value in self.own.items() if value is not None)
        metadata = view.attributes.get("metadata")
        read = parsed(metadata) if metadata is not None else None
        self.metadata: dict[str, Any] = read if isinstance(read, dict) else {}

    def step(self) -> Step:
        """Put the step together. What is empty is left out: a field costs as much as it says."""
        view, span = self.view, self.view.span
        content = self._content()
        trace_id, start_ns = span.trace_id.hex(), span.start_time_unix_nano
        fields: dict[str, Any] = {
            "tenant": self.tenant,
            "run_id": run_id_of(self.dialect.name, view.attributes, trace_id),
            "trace_id": trace_id,
            "span_id": span.span_id.hex(),
            "kind": self.kind,
            "start_ns": start_ns,
            "end_ns": max(span.end_time_unix_nano, start_ns),
            "parent_span_id": view.parent,
            "is_root": not view.parent,
            "name": view.name[:NAME_CAP],
            "service": str(view.resource.get("service.name", ""))[:NAME_CAP],
            "framework": self._framework(),
            "dialect": self.dialect.name,
            "scope": view.scope[:NAME_CAP],
        }
        self._names(fields)
        self._model_call(fields)
        fields |= spoken(content)
        fields |= self._state()
        error, error_type = failure_of(view, self.own, content.result)
        if error or error_type:
            fields["error"], fields["error_type"] = error, error_type
        if self.shape.metrics:
            fields["metrics"] = self._metrics()
        if span.links:
            fields["links"] = [SpanRef(link.trace_id.hex(), link.span_id.hex()) for link in span.links[:LINKS_CAP]]
        return Step(**fields)

    # --- names ---

    def _framework(self) -> str:
        known = self.own.get("framework", self.dialect.framework)
        return text_of(known or self.view.attributes.get("gen_ai.framework"))[:NAME_CAP]

    def _names(self, fields: dict[str, Any]) -> None:
        fields["agent"] = self._agent()
        for field, source in NAMES:
            if source in self.found or self.metadata:
                fields[field] = self._text(source)
        if self.kind == TOOL:
            tool = fields["tool"] = self._tool_name()
            fields["tool_call_id"] = self._text("tool_call_id")
            if tool.startswith(TRANSFER_TOOL) and not fields.get("transfer_to"):
                fields["transfer_to"] = self._transferred_to(tool)
        if "acknowledged" in self.view.attributes:
            fields["acknowledged"] = _boolean(self.view.attributes["acknowledged"])

    def _transferred_to(self, tool: str) -> str:
        """Read whom a hand-over tool hands over to: its arguments say so, or else its name does."""
        args = self._args()
        if isinstance(args, dict) and args.get("agent_name"):
            return text_of(args["agent_name"])[:NAME_CAP]
        target = tool.removeprefix(TRANSFER_TOOL)
        return "" if target == "agent" else target

    def _agent(self) -> str:
        found = self._text("agent")
        if not found and self.kind in ("agent", "workflow"):
            found = text_of(self.own.get("agent_by_name"))[:NAME_CAP]
            if not found and self.view.name.startswith("invoke_agent "):
                found = self.view.name.removeprefix("invoke_agent ")
        return found[:NAME_CAP]

    def _tool_name(self) -> str:
        found = self._text("tool") or text_of(self.own.get("tool_by_name"))
        if found:
            return found[:NAME_CAP]
        name = self.view.name
        for beginning in TOOL_NAME_BEGINNINGS:
            name = name.removeprefix(beginning)
        return name.removesuffix(".tool")[:NAME_CAP]

    def _text(self, field: str) -> str:
        """Read a name: what the dialect says itself, its own sources, the shared ones, then the metadata."""
        value = self.found.get(field)
        ignored = self.dialect.ignored
        if value is None or (ignored and type(value) is str and value in ignored.get(field, ())):
            if not self.metadata:
                return ""
            value = next((self.metadata[key] for key in METADATA.get(field, ()) if self.metadata.get(key)), None)
        return value[:NAME_CAP] if type(value) is str else text_of(value)[:NAME_CAP]

    # --- model calls ---

    def _model_call(self, fields: dict[str, Any]) -> None:
        found, limit = self.found, self.found.get("max_tokens")
        if "provider" in found:
            provider = self._text("provider")
            fields["provider"] = "" if provider in FRAMEWORK_PROVIDERS else provider
        if "model" in found:
            fields["model"] = self._text("model")
        if self.kind == LLM and "response_id" in found:
            fields["response_id"] = self._text("response_id")
        if "finish" in found:
            fields["finish"] = self._finish(found["finish"])
        fields["usage"] = usage_of(found, self.dialect, self.own)
        fields["cost_usd"] = amount(self.own.get("cost", found.get("cost")))
        if type(limit) is int and 0 < limit < 2**31:
            fields["max_tokens"] = limit

    def _finish(self, said_: Any) -> str:
        value = parsed(said_)
        if isinstance(value, list):
            value = value[0] if value else ""
        text = text_of(value).rsplit(".", 1)[-1]
        return FINISHES.get(text.lower(), text.lower())[:NAME_CAP]

    # --- content ---

    def _content(self) -> Content:
        if self.kind == TOOL:
            return Content(args=self._args(), result=self._result())
        if self.kind == HANDOFF:
            return Content()
        heard, spoke = self._heard(), self._spoke()
        return Content(heard=heard, spoke=spoke)

    def _args(self) -> Any:
        value = self.found.get("args")
        if value is None:
            value = self.found.get("tool_input")
        return arguments(value)

    def _result(self) -> Any:
        value = self.found.get("result")
        if value is None:
            value = self.found.get("tool_output")
        return result(value)

    def _heard(self) -> list[said.Message]:
        if self.shape.heard:
            return [*self._system(), *said.flattened(self.view.attributes, self.shape.heard, recent=True)]
        if "input" in self.found:
            return [*self._system(), *said.messages_in(self._input(), "user", recent=True)]
        return [*self._system(), *heard_in(self.view.events)]

    def _input(self) -> Any:
        """Read what came in, once: a graph's node has its state there too."""
        if self._input_read is None:
            self._input_read = parsed(self.found["input"])
        return self._input_read

    def _system(self) -> list[said.Message]:
        value = self.found.get("system_prompt")
        return [said.Message("system", [said.joined(said.messages(value))])] if value is not None else []

    def _spoke(self) -> list[said.Message]:
        if self.shape.spoke:
            return said.flattened(self.view.attributes, self.shape.spoke)
        value = self.found.get("output")
        spoken_ = said.messages(value, "assistant") if value is not None else spoke_in(self.view.events)
        calls = self.found.get("calls")
        if calls is not None:
            spoken_ = [*spoken_, said.message({"role": "assistant", "tool_calls": calls})]
        return spoken_

    # --- state and figures ---

    def _state(self) -> dict[str, Any]:
        value = self.found.get("state")
        if value is None:
            value = self.view.first(self.state_keys)
        if value is None and self.kind == STEP and self._text("node"):
            value = self._state_of_node()
        return state_fields(value)

    def _state_of_node(self) -> Any:
        """Read the state that a graph hands to a node, where the dialect says which attribute that is."""
        get = self.view.attributes.get
        if self.metadata.get("langgraph_node"):
            value = get("input.value")
            read = self._input() if value is not None and value is self.found.get("input") else parsed(value)
        elif get("langsmith.metadata.langgraph_node"):
            read = parsed(get("gen_ai.prompt"))
        elif get("traceloop.association.properties.langgraph_node"):
            read = arguments(get("gen_ai.task.input") or get("traceloop.entity.input"))
        else:
            read = None
        return read if isinstance(read, dict) else None

    def _metrics(self) -> list[Metric]:
        get = self.view.attributes.get
        direction = _direction(text_of(get(DIRECTION)))
        found = [
            Metric(key.removeprefix(METRIC)[:NAME_CAP], float(value), direction)
            for key in self.shape.metrics
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
