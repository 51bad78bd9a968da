"""AutoGen and AG2: messaging spans joined by links around a few of the semantic conventions."""

from __future__ import annotations

from collector.normalise.dialects.dialect import Dialect

DIALECT = Dialect(
    name="autogen",
    framework="autogen",
    scopes=("autogen", "opentelemetry.instrumentation.ag2"),
    marks=("ag2.span.type",),
)
