"""pydantic-ai and Logfire: older formats name things their own way; the span's name may be a template."""

from __future__ import annotations

from typing import Any

from collector.normalise.attributes import SpanView
from collector.normalise.dialects.dialect import Dialect


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
            found["error"] = cause
        return found


DIALECT = PydanticAi(name="pydantic_ai", scopes=("pydantic-ai", "logfire"), marks=("pydantic_ai.", "logfire."))
