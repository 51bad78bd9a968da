"""Writes `processors/readiness_figures.json` from reports of the evaluation kit: counts per detection type alone.

Replay labelled runs into a pipeline, score them to a report (`python -m eval.score ... --json REPORT`), then
`python -m tests.benchmarks.readiness REPORT ...`. The counts of one type are summed over all data sets.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from collector.components import detector_names
from processors.readiness import TYPE_OF

FIGURES = Path(__file__).parents[2] / "processors" / "readiness_figures.json"
COUNTS = ("tp", "fn", "fp", "tn")


def figures_of(reports: Iterable[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Sum the counts of each type that some run was labelled for and some detector finds."""
    found_here = {TYPE_OF.get(name, name) for name in detector_names()}
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for row in (row for report in reports for row in report["traces"] if row["type"] in found_here):
        found[row["type"]].update({name: int(row[name]) for name in COUNTS})
    return {kind: {name: counts[name] for name in COUNTS} for kind, counts in sorted(found.items())}


if __name__ == "__main__":
    reports = [json.loads(Path(name).read_text("utf-8")) for name in sys.argv[1:]]
    written = json.dumps(figures_of(reports), indent=1)
    FIGURES.write_text(f"{written}\n", "utf-8")
