"""The Vercel AI SDK: `ai.operationId` says the kind, `ai.*` the content; usage stands on both levels."""

from __future__ import annotations

from typing import Any

from collector.normalise.attributes import SpanView
from collector.normalise.dialects.dialect import Dialect


class VercelAi(Dialect):
    """The AI SDK."""

    def read(self, view: SpanView) -> dict[str, Any]:
        """Read the function that an agent's telemetry is labelled with."""
        found: dict[str, Any] = {"framework": "ai-sdk"}
        label = view.attributes.get("ai.telemetry.functionId")
        if label and not str(view.attributes.get("ai.operationId", "")).startswith("ai.toolCall"):
            found["agent_by_name"] = label
        return found


DIALECT = VercelAi(
    name="vercel_ai",
    framework="ai-sdk",
    marks=("ai.operationId",),
    fields={"calls": ("ai.response.toolCalls",)},
)
