"""Microsoft Agent Framework: the semantic conventions; usage is repeated on the agent, finish reasons are a JSON string."""

from __future__ import annotations

from collector.normalise.dialects.dialect import Dialect

DIALECT = Dialect(name="agent_framework", framework="agent-framework", scopes=("agent_framework",))
