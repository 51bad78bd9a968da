"""Semantic Kernel: content in log records, tools are `Plugin-function`."""

from __future__ import annotations

from collector.normalise.dialects.dialect import Dialect

DIALECT = Dialect(name="semantic_kernel", framework="semantic-kernel", scopes=("semantic_kernel",))
