"""How figures are shown: as a table for people, as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table

from . import Figure
from .targets import TARGETS


def table(title: str, figures: Iterable[Figure], before: Mapping[str, float]) -> Table:
    """Lay out what was measured, how it changed, and whether it is what it is to be."""
    drawn = Table(title=title, box=None, title_justify="left")
    drawn.add_column("what")
    for heading in ("figure", "unit", "change", "target", "met"):
        drawn.add_column(heading, justify="left" if heading == "unit" else "right", no_wrap=True)
    for what, value, unit in figures:
        target = TARGETS.get(what)
        met = "" if target is None else "[green]yes" if target.met(value) else "[red]no"
        drawn.add_row(what, _written(value), unit, _change(value, before.get(what)), str(target or ""), met)
    return drawn


def as_json(machine: str, figures: Sequence[Figure], before: Mapping[str, float]) -> str:
    """Write the same as one JSON document."""
    rows = [
        {
            "what": what,
            "value": value,
            "unit": unit,
            "before": before.get(what),
            "target": str(TARGETS[what]) if what in TARGETS else None,
            "met": TARGETS[what].met(value) if what in TARGETS else None,
        }
        for what, value, unit in figures
    ]
    return json.dumps({"machine": machine, "figures": rows}, indent=1)


def _written(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"


def _change(value: float, before: float | None) -> str:
    return f"{(value / before - 1) * 100:+.0f} %" if before else ""
