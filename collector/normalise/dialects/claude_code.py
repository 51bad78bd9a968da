"""Claude Code and the Agent SDK's own telemetry: kind in `span.type`, plain attribute names, content in log events."""

from __future__ import annotations

from typing import Any

from collector.normalise.attributes import SpanView
from collector.normalise.dialects.dialect import Dialect


class ClaudeCode(Dialect):
    """Claude Code."""

    def read(self, view: SpanView) -> dict[str, Any]:
        """Read what the interaction is called, what a tool printed, and whether a call failed."""
        found: dict[str, Any] = {"framework": "claude-code"}
        if view.attributes.get("span.type") == "interaction":
            found["agent_by_name"] = "claude-code"
        output = view.event("tool.output")
        if output is not None:
            found["result"] = output.content("output", "stdout", "content")
        if view.attributes.get("success") in (False, "false"):
            found["error_type"] = view.attributes.get("error") or "failed"
        return found


DIALECT = ClaudeCode(
    name="claude_code",
    framework="claude-code",
    scopes=("com.anthropic.claude_code",),
    input_excludes_cache=True,
)
