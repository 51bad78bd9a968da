"""CrewAI, whatever instruments it: agents are roles, and stand in span names of their own."""

from __future__ import annotations

from typing import Any

from collector.normalise.attributes import SpanView
from collector.normalise.dialects.dialect import Dialect


class CrewAi(Dialect):
    """CrewAI."""

    def read(self, view: SpanView) -> dict[str, Any]:
        """Read roles out of span names."""
        found: dict[str, Any] = {"framework": "crewai"}
        for suffix in ("._execute_core", ".agent"):
            if view.name.endswith(suffix):
                found["agent_by_name"] = view.name.removesuffix(suffix)
        return found


DIALECT = CrewAi(
    name="crewai", framework="crewai", scopes=("opentelemetry.instrumentation.crewai",), marks=("crewai.",)
)
