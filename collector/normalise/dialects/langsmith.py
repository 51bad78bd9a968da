"""LangSmith over OpenTelemetry: whole inputs and outputs as JSON, `langsmith.metadata.*`."""

from __future__ import annotations

from collector.normalise.dialects.dialect import Dialect

DIALECT = Dialect(name="langsmith", framework="langchain", scopes=("langsmith",), marks=("langsmith.span.kind",))
