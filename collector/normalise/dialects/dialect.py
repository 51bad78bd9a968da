"""What makes a dialect: how to recognise it, and what it says its own way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from collector.normalise.attributes import SpanView
from collector.normalise.sources import FIELDS, Sources

UNSEEN = 1_000
"""A place behind every other."""


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
    def places(self) -> Mapping[str, tuple[tuple[str, int], ...]]:
        """Give for each attribute name the fields it may fill and its place there; own sources come first."""
        found: dict[str, list[tuple[str, int]]] = {}
        for name in self.fields.keys() | FIELDS.keys():
            sources = dict.fromkeys((*self.fields.get(name, ()), *FIELDS.get(name, ())))
            for place, source in enumerate(sources):
                found.setdefault(source, []).append((name, place))
        return {source: tuple(places) for source, places in found.items()}

    def find(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Find the best source of every field in one pass; an empty value is none."""
        found: dict[str, Any] = {}
        best: dict[str, int] = {}
        for source, value in attributes.items():
            places = self.places.get(source)
            if places is not None and (value or value == 0):
                for name, place in places:
                    if place < best.get(name, UNSEEN):
                        best[name], found[name] = place, value
        return found

    def read(self, view: SpanView) -> dict[str, Any]:
        """Read what no table can say; fields given here win."""
        del view
        return {}
