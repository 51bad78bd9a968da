"""`tracemend approvals`: the questions healing asks, and a person's answers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import typer

from collector.cli.configuration import load_settings
from collector.cli.output import WrongUsage, add_row, check_format, make_table, print_rows
from collector.cli.reading_source import reading
from collector.cli.saying import person, publish
from healing.approvals import approve, reject
from schemas.healing import REVIEW, Approval
from sinks import reading as store_reading


def show_approvals(
    config: Sequence[Path], set_: Sequence[str], data_dir: Path | None, format_: str, everything: bool
) -> int:
    """Print questions; returns the exit status."""
    check_format(format_)
    with reading(load_settings(config, set_, data_dir)) as query:
        events = store_reading.approvals(query)
    shown = events if everything else store_reading.waiting(events)
    table = make_table("asked", "id", "event", "kind", "detection", "fix", "risk", "agent", "what happened")
    for event in shown:
        add_row(
            table,
            str(event["at"])[:19].replace("T", " "),
            str(event["healing_id"])[:12],
            str(event["event"]),
            str(event["kind"]),
            str(event["detection_type"]),
            (str(event["fix_type"]) or "-", "bold"),
            "-" if event["kind"] == REVIEW else str(event["risk"]),
            str(event["agent"] or "-"),
            str(event["detection_title"]),
        )
    if not shown:
        table.caption = "nothing waits for an answer"
    print_rows(format_, shown, table)
    return 0


def answer(
    config: Sequence[Path], set_: Sequence[str], data_dir: Path | None, healing_id: str, event: str, note: str
) -> int:
    """Publish a person's answer; returns the exit status."""
    settings = load_settings(config, set_, data_dir)
    with reading(settings) as query:
        question = _question(store_reading.waiting(store_reading.approvals(query)), healing_id)
    give = approve if event == "approved" else reject
    publish(settings, [give(question, person(), note, time.time_ns())])
    what = "review" if question.kind == REVIEW else question.fix_type
    typer.echo(f"{event}: {what} for {question.detection_title}")
    return 0


def _question(waiting: Sequence[dict[str, Any]], healing_id: str) -> Approval:
    """Find the question that is meant; the beginning of its id is enough where that is unambiguous."""
    meant = [event for event in waiting if event["healing_id"].startswith(healing_id)]
    if not meant:
        raise WrongUsage(f"nothing with the id {healing_id!r} waits for an answer; see tracemend approvals list")
    if len({event["healing_id"] for event in meant}) > 1:
        raise WrongUsage(f"{healing_id!r} is the beginning of more than one id; give more of it")
    return msgspec.convert(meant[0], Approval)
