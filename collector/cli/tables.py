"""`tracemend runs` and `tracemend policies show`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from collector.cli.configuration import load_settings
from collector.cli.output import Cell, add_row, check_format, line_width, make_table, print_rows
from collector.cli.reading_source import reading
from schemas.run_summary import FAILURES
from sinks import reading as store_reading

RUN_COLUMNS = {
    "started": False,
    "run": False,
    "service": True,
    "agents": True,
    "steps": False,
    "llm": True,
    "tools": True,
    "errors": True,
    "tokens": True,
    "outcome": False,
    "found": False,
}
"""What is shown of a run, and whether it goes where a line is narrow."""
WIDE = 120


def show_runs(config: Sequence[Path], set_: Sequence[str], data_dir: Path | None, format_: str, limit: int) -> int:
    """Print the newest runs; returns the exit status."""
    check_format(format_)
    with reading(load_settings(config, set_, data_dir)) as query:
        found = store_reading.runs(query, limit)
    wide = line_width() >= WIDE
    table = make_table(*(title for title, needs_room in RUN_COLUMNS.items() if wide or not needs_room))
    for run in found:
        cells = zip(_run_cells(run), RUN_COLUMNS.values(), strict=True)
        add_row(table, *(cell for cell, needs_room in cells if wide or not needs_room))
    print_rows(format_, found, table)
    return 0


def _run_cells(run: Mapping[str, Any]) -> Sequence[Cell]:
    outcome = str(run["Outcome"])
    return (
        str(run["Started"])[:19],
        str(run["RunId"])[:8],
        str(run["Service"]),
        ", ".join(run["Agents"]) or "-",
        *(str(run[name]) for name in ("Steps", "LlmCalls", "ToolCalls", "Errors")),
        f"{int(run['InputTokens']) + int(run['OutputTokens']):,}",
        (outcome.replace("_", " "), "red" if outcome in FAILURES else ""),
        (", ".join(sorted(set(run["Detections"]))) or "-", "bold"),
    )


def show_policies(config: Sequence[Path], set_: Sequence[str], data_dir: Path | None, format_: str) -> int:
    """Print the policies in force; returns the exit status."""
    check_format(format_)
    with reading(load_settings(config, set_, data_dir)) as query:
        found = store_reading.policies(query)
    table = make_table("service", "agent", "version", "rule", "scope", "until", "parameters")
    for policy in found:
        for rule in policy.get("rules") or []:
            add_row(
                table,
                str(policy.get("service") or "-"),
                str(policy.get("agent") or "(all)"),
                str(policy["version"]),
                (str(rule.get("fix_type", "")), "bold"),
                _scope(rule),
                str(rule.get("expires_at") or "-")[:19],
                str(rule.get("parameters", {})),
            )
    print_rows(format_, found, table)
    return 0


def _scope(rule: dict[str, Any]) -> str:
    run = rule.get("run_id")
    return f"run {str(run)[:8]}" if run else str(rule.get("scope", ""))
