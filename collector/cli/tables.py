"""`tracemend runs` and `tracemend policies show`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from collector.cli.configuration import load_settings
from collector.cli.output import add_row, check_format, make_table, print_rows
from collector.cli.reading_source import reading
from sinks import reading as store_reading


def show_runs(config: Sequence[Path], set_: Sequence[str], data_dir: Path | None, format_: str, limit: int) -> int:
    """Print the newest runs; returns the exit status."""
    check_format(format_)
    with reading(load_settings(config, set_, data_dir)) as query:
        found = store_reading.runs(query, limit)
    table = make_table("started", "run", "service", "agents", "steps", "llm", "tools", "errors", "tokens", "found")
    for run in found:
        add_row(
            table,
            str(run["Started"])[:19],
            str(run["RunId"])[:8],
            str(run["Service"]),
            ", ".join(run["Agents"]) or "-",
            *(str(run[name]) for name in ("Steps", "LlmCalls", "ToolCalls", "Errors")),
            f"{int(run['InputTokens']) + int(run['OutputTokens']):,}",
            (", ".join(sorted(set(run["Detections"]))) or "-", "bold"),
        )
    print_rows(format_, found, table)
    return 0


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
