"""OpenLIT: the semantic conventions with additions; arguments as Python reprs, tool names also on chat spans."""

from __future__ import annotations

from collector.normalise.dialects.dialect import Dialect

DIALECT = Dialect(name="openlit", scopes=("openlit",))
