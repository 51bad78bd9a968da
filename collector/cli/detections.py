"""`tracemend detections`: what was found, as a table, as JSON, or as it comes."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.table import Table

from collector.cli.configuration import load_settings
from collector.cli.live_view import SEVERITY_STYLE
from collector.cli.output import JSON, WrongUsage, add_row, check_format, make_table, print_rows
from collector.cli.reading_source import reading
from schemas.timestamps import unix_ns
from sinks import reading as store_reading

AGO = re.compile(r"(\d{1,9})([smhd])\Z")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
FOLLOW_SECONDS = 0.5


class Wanted(NamedTuple):
    """Which detections are asked for."""

    since: str
    trace: str
    kind: str
    all_versions: bool
    follow: bool


def show_detections(
    config: Sequence[Path], set_: Sequence[str], data_dir: Path | None, format_: str, wanted: Wanted
) -> int:
    """Print detections; returns the exit status."""
    check_format(format_)
    if wanted.follow and format_ == JSON:
        raise WrongUsage("--follow prints as it goes: use --format jsonl, or the table")
    since_ns = parse_since(wanted.since, time.time_ns())
    settings = load_settings(config, set_, data_dir)
    with reading(settings) as query:
        found = store_reading.detections(query, since_ns, wanted.trace, wanted.kind, wanted.all_versions)
        print_rows(format_, found, table_of(found))
        while wanted.follow:
            time.sleep(FOLLOW_SECONDS)
            after = max((unix_ns(document["detected_at"]) for document in found), default=since_ns)
            fresh = store_reading.detections(query, since_ns, wanted.trace, wanted.kind, wanted.all_versions, after)
            if fresh:
                print_rows(format_, fresh, table_of(fresh, header=False))
                found = fresh
    return 0


def table_of(found: Sequence[dict[str, Any]], header: bool = True) -> Table:
    """Lay detections out for people."""
    table = make_table("when", "type", "severity", "conf", "status", "agent", "trace", "what happened")
    table.show_header = header
    for document in found:
        severity = str(document["severity"])
        add_row(
            table,
            str(document["event_time"])[:19].replace("T", " "),
            (str(document["type"]), "bold"),
            (severity, SEVERITY_STYLE.get(severity, "")),
            f"{document['confidence']:.2f}",
            str(document["status"]),
            str(document["agent"] or "-"),
            str(document["trace_id"])[:8],
            str(document["title"]),
        )
    if not found and header:
        table.caption = "nothing was found"
    return table


def parse_since(text: str, now_ns: int) -> int:
    """Read a time, or how long ago; empty is the beginning. Raises WrongUsage."""
    if not text:
        return 0
    ago = AGO.match(text)
    if ago is not None:
        return now_ns - int(ago[1]) * UNITS[ago[2]] * 1_000_000_000
    try:
        return unix_ns(text)
    except ValueError as error:
        raise WrongUsage(f"--since {text!r} is no time: use 2026-11-20T10:00:00Z, or 10m, 2h, 1d ago") from error
