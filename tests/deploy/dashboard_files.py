"""What is in the committed dashboards: panels, and every question they ask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
FOLDER = GRAFANA / "dashboards"
STORE, METRICS = "grafana-clickhouse-datasource", "prometheus"


class Asked(NamedTuple):
    """One question: where it stands, for whom, and what it says."""

    where: str
    source: str
    text: str
    answer: int


def dashboards() -> dict[str, dict[str, Any]]:
    """Read every dashboard, by file name."""
    return {file.stem: json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))}


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """List its panels, without the rows between them."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def variables(board: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """List its variables of a kind."""
    return [variable for variable in board["templating"]["list"] if variable["type"] == kind]


def every_question() -> Iterator[Asked]:
    """Give all that panels, variables and annotations ask."""
    for name, board in dashboards().items():
        for panel in panels(board):
            for target in panel["targets"]:
                yield _asked(f"{name}/{panel['title']}/{target['refId']}", target)
        for variable in variables(board, "query"):
            yield _asked(f"{name}/${variable['name']}", {**variable["query"], "datasource": variable["datasource"]})
        for mark in board["annotations"]["list"]:
            yield _asked(f"{name}/marks of {mark['name']}", mark["target"])


def _asked(where: str, target: dict[str, Any]) -> Asked:
    source = target["datasource"]["type"]
    text = target["rawSql"] if source == STORE else target["expr"]
    return Asked(where, source, text, target.get("format", 1) if source == STORE else 0)
