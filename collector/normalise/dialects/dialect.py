"""What makes a dialect: how to recognise it, and what it says its own way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from collector.normalise.attributes import SpanView
from collector.normalise.sources import FIELDS, Sources


@dataclass(frozen=True)
class Dialect:
    """One dialect, as tables.

    `scopes` are beginnings of scope names, `marks` beginnings of attribute names; either identifies it.
    `fields` are sources that come before those of the shared table; `ignored` are values that mean nothing here.
    `input_excludes_cache`: its input tokens leave the cached ones out.
    """

    name: str
    framework: str = ""
    scopes: Sources = ()
    marks: Sources = ()
    fields: Mapping[str, Sources] = field(default_factory=dict)
    ignored: Mapping[str, frozenset[Any]] = field(default_factory=dict)
    input_excludes_cache: bool = False

    @cached_property
    def sources(self) -> Mapping[str, Sources]:
        """Give for each field the attribute names it may be read from, the best first; own sources come first."""
        names = dict.fromkeys((*FIELDS, *self.fields))
        return {name: tuple(dict.fromkeys((*self.fields.get(name, ()), *FIELDS.get(name, ())))) for name in names}

    def read(self, view: SpanView) -> dict[str, Any]:
        """Read what no table can say; fields given here win."""
        del view
        return {}
