"""Langfuse: everything under `langfuse.observation.*`, usage and cost as JSON strings."""

from __future__ import annotations

from typing import Any

from collector.normalise.attributes import SpanView
from collector.normalise.dialects.dialect import Dialect
from collector.normalise.unwrap import parsed


class Langfuse(Dialect):
    """Langfuse's SDK."""

    def read(self, view: SpanView) -> dict[str, Any]:
        """Read usage, cost, names and the level of an observation."""
        found: dict[str, Any] = {}
        kind = view.attributes.get("langfuse.observation.type")
        if kind == "agent":
            found["agent_by_name"] = view.name
        elif kind == "tool":
            found["tool_by_name"] = view.name
        usage = parsed(view.attributes.get("langfuse.observation.usage_details"))
        if isinstance(usage, dict):
            found["input_tokens"], found["output_tokens"] = usage.get("input"), usage.get("output")
            found["cache_read"] = usage.get("cache_read_input_tokens") or usage.get("input_cached_tokens")
        cost = parsed(view.attributes.get("langfuse.observation.cost_details"))
        if isinstance(cost, dict):
            found["cost"] = cost.get("total")
        if view.attributes.get("langfuse.observation.level") == "ERROR":
            found["error"] = view.attributes.get("langfuse.observation.status_message") or "error"
            found["error_type"] = "error"
        return found


DIALECT = Langfuse(name="langfuse", scopes=("langfuse",), marks=("langfuse.observation.",))
