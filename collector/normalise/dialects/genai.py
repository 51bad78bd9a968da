"""OpenTelemetry's own semantic conventions, current and past, by whatever scope; also what nobody else recognises."""

from __future__ import annotations

from collector.normalise.dialects.dialect import Dialect

DIALECT = Dialect(name="genai")
