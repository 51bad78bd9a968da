"""pydantic-ai and Logfire: older formats name things their own way; the span's name may be a template."""

from __future__ import annotations

from typing import Any

from collector.normalise.attributes import SpanView
from collector.normalise.dialects.dialect import Dialect

ANSWERS = ("gen_ai.tool.call.result", "tool_response")
"""What the model is told instead of a result, which says more than the cause's name."""


class PydanticAi(Dialect):
    """pydantic-ai, data formats 1 to 6, and Logfire around it."""

    def read(self, view: SpanView) -> dict[str, Any]:
        """Read why a tool is tried again."""
        found: dict[str, Any] = {}
        if view.scope.startswith("pydantic-ai"):
            found["framework"] = "pydantic-ai"
        cause = view.attributes.get("pydantic_ai.tool.retry.cause")
        if cause:
            found["error_type"] = "ModelRetry"
            found["error"] = view.first(ANSWERS) or cause
        return found


DIALECT = PydanticAi(name="pydantic_ai", scopes=("pydantic-ai", "logfire"), marks=("pydantic_ai.", "logfire."))
