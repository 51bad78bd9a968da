"""Google's Agent Development Kit: `gcp.vertex.agent.*`; before 2.x the agent's name stands in the span's name only."""

from __future__ import annotations

from typing import Any

from collector.normalise.attributes import SpanView
from collector.normalise.dialects.dialect import Dialect

AGENT_RUN = "agent_run ["


class Adk(Dialect):
    """ADK 1.x and 2.x."""

    def read(self, view: SpanView) -> dict[str, Any]:
        """Read the agent out of the span's name."""
        found: dict[str, Any] = {"framework": "adk"}
        if view.name.startswith(AGENT_RUN):
            found["agent_by_name"] = view.name.removeprefix(AGENT_RUN).removesuffix("]")
        return found


DIALECT = Adk(name="adk", framework="adk", scopes=("gcp.vertex.agent",), marks=("gcp.vertex.agent.",))
