"""Strands Agents: content in span events, arguments in `gen_ai.tool.message`, results in `gen_ai.choice`."""

from __future__ import annotations

from typing import Any

from collector.normalise.attributes import SpanView
from collector.normalise.dialects.dialect import Dialect


class Strands(Dialect):
    """Strands Agents, old and new names."""

    def read(self, view: SpanView) -> dict[str, Any]:
        """Read a tool's arguments, result and status."""
        found: dict[str, Any] = {"framework": "strands"}
        asked, answered = view.event("gen_ai.tool.message"), view.event("gen_ai.choice")
        if view.attributes.get("gen_ai.tool.name"):
            if asked is not None:
                found["args"] = asked.content("content")
            if answered is not None:
                found["result"] = answered.content("message")
        status = view.attributes.get("gen_ai.tool.status") or view.attributes.get("tool.status")
        if status == "error":
            found["error_type"] = "tool_error"
        return found


DIALECT = Strands(name="strands", framework="strands", scopes=("strands",), marks=("event_loop.cycle_id",))
