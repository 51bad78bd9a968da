"""Microsoft Agent Framework: the conventions, with usage repeated on the agent, finish reasons as a JSON string."""

from __future__ import annotations

from collector.normalise.dialects.dialect import Dialect

DIALECT = Dialect(name="agent_framework", framework="agent-framework", scopes=("agent_framework",))
