"""Dify: `gen_ai.span.kind`, content in `input.value` and `output.value`."""

from __future__ import annotations

from collector.normalise.dialects.dialect import Dialect

DIALECT = Dialect(name="dify", framework="dify", scopes=("dify", "extensions.otel"), marks=("dify.",))
