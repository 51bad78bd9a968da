"""OpenLLMetry (Traceloop): `traceloop.*`, content in `traceloop.entity.*`, older versions with flattened prompts."""

from __future__ import annotations

from typing import Any

from collector.normalise.attributes import SpanView
from collector.normalise.dialects.dialect import Dialect

FRAMEWORKS = {
    "langchain": "langchain",
    "openai_agents": "openai-agents",
    "crewai": "crewai",
    "llamaindex": "llamaindex",
    "haystack": "haystack",
}
SUFFIXES = (".agent", ".tool", ".task", ".workflow")


class Traceloop(Dialect):
    """OpenLLMetry, of any framework."""

    def read(self, view: SpanView) -> dict[str, Any]:
        """Read framework, and the names that stand in span names only."""
        found: dict[str, Any] = {}
        framework = next((name for part, name in FRAMEWORKS.items() if part in view.scope), "")
        if view.attributes.get("traceloop.association.properties.langgraph_node"):
            framework = "langgraph"
        if framework:
            found["framework"] = framework
        kind = view.attributes.get("traceloop.span.kind")
        name = view.attributes.get("traceloop.entity.name") or _bare(view.name)
        if kind == "agent":
            found["agent_by_name"] = name
        elif kind == "tool":
            found["tool_by_name"] = name
        if " \u2192 " in view.name or " -> " in view.name:
            source, _, target = view.name.replace(" -> ", " \u2192 ").partition(" \u2192 ")
            found["transfer_from"], found["transfer_to"] = source, _bare(target).removesuffix(".handoff")
        return found


def _bare(name: str) -> str:
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


DIALECT = Traceloop(
    name="traceloop",
    scopes=("traceloop.",),
    marks=("traceloop.",),
    fields={"tool_input": ("traceloop.entity.input",), "tool_output": ("traceloop.entity.output",)},
)
