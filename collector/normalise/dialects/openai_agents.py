"""The official OpenTelemetry instrumentation of the OpenAI Agents SDK: constants where agent names should be."""

from __future__ import annotations

from collector.normalise.dialects.dialect import Dialect

DIALECT = Dialect(
    name="openai_agents",
    framework="openai-agents",
    scopes=("opentelemetry.instrumentation.openai_agents",),
    ignored={"agent": frozenset({"OpenAI Agent"})},
)
