"""n8n: workflows and nodes, no model content; the error class of an execution stands on it."""

from __future__ import annotations

from typing import Any

from collector.normalise.attributes import SpanView
from collector.normalise.dialects.dialect import Dialect


class N8n(Dialect):
    """n8n's own module and the community's hooks."""

    def read(self, view: SpanView) -> dict[str, Any]:
        """Read what a node got, gave, and how an execution ended."""
        found: dict[str, Any] = {"framework": "n8n"}
        if view.attributes.get("n8n.execution.status") in ("error", "crashed"):
            found["error_type"] = view.attributes.get("n8n.execution.error_type") or "error"
        return found


DIALECT = N8n(
    name="n8n",
    framework="n8n",
    scopes=("n8n",),
    marks=("n8n.",),
    fields={"input": ("n8n.node.input",), "output": ("n8n.node.output",)},
)
