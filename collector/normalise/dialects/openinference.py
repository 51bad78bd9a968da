"""OpenInference: kind in `openinference.span.kind`, content in `input.value` and `output.value`, messages flattened."""

from __future__ import annotations

from typing import Any

from collector.normalise.attributes import SpanView
from collector.normalise.dialects.dialect import Dialect
from collector.normalise.unwrap import parsed

FRAMEWORKS = {
    "langchain": "langchain",
    "openai_agents": "openai-agents",
    "smolagents": "smolagents",
    "crewai": "crewai",
    "llama_index": "llamaindex",
    "autogen": "autogen",
    "claude_agent_sdk": "claude-agent-sdk",
    "pydantic_ai": "pydantic-ai",
}
HANDOFF = "handoff to "
RUN_SUFFIXES = ("._execute_core", ".run")


class OpenInference(Dialect):
    """OpenInference, of any framework."""

    def read(self, view: SpanView) -> dict[str, Any]:
        """Read framework, hand-offs, and agents that are named in the span's name only."""
        framework = FRAMEWORKS.get(view.scope.rsplit(".", 1)[-1], "")
        kind = view.attributes.get("openinference.span.kind")
        found: dict[str, Any] = {}
        if framework == "langchain" and "langgraph_node" in str(view.attributes.get("metadata", "")):
            framework = "langgraph"
        if framework:
            found["framework"] = framework
        if view.name.startswith(HANDOFF):
            found["transfer_to"] = parsed(view.attributes.get("output.value")) or view.name.removeprefix(HANDOFF)
            found["transfer_from"] = parsed(view.attributes.get("input.value")) or ""
        if kind == "AGENT":
            found["agent_by_name"] = _agent(view, framework)
        return found


def _agent(view: SpanView, framework: str) -> str:
    for suffix in RUN_SUFFIXES:
        if view.name.endswith(suffix):
            return view.name.removesuffix(suffix)
    if framework == "openai-agents":
        return "" if view.name == "Agent workflow" else view.name
    return str(view.attributes.get("graph.node.id") or view.name)


DIALECT = OpenInference(
    name="openinference",
    scopes=("openinference.instrumentation",),
    marks=("openinference.span.kind",),
)
