"""`tracemend thresholds`: from which confidence on findings are told, as it holds now, and set at run time."""

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
from collector.components import detector_names
from config.problems import nearest
from config.settings import Settings
from healing.saying import threshold_outgoing
from processors.diagnosing.shortfall import COMPLETION
from processors.readiness import TYPE_OF
from processors.runs.thresholds import LEAST
from schemas.people import Threshold
from schemas.timestamps import rfc3339
from sinks import reading as store_reading

ALL = "(all)"


def show_thresholds(config: Sequence[Path], set_: Sequence[str], data_dir: Path | None, format_: str) -> int:
    """Print the thresholds that people set; returns the exit status."""
    check_format(format_)
    with reading(load_settings(config, set_, data_dir)) as query:
        held = [one for one in store_reading.thresholds(query) if one.min_confidence is not None]
    table = make_table("detector", "framework", "tells from", "tenant", "set by", "set at")
    for one in held:
        least = (f"{one.min_confidence:.2f}", "bold")
        add_row(table, one.detector, one.framework or ALL, least, one.tenant, one.who, one.at[:19].replace("T", " "))
    table.caption = f"everything else is told from {LEAST} on"
    print_rows(format_, [msgspec.to_builtins(one) for one in held], table)
    return 0


def set_threshold(
    config: Sequence[Path],
    set_: Sequence[str],
    data_dir: Path | None,
    where: tuple[str, str, str],
    confidence: float | None,
) -> int:
    """Publish a threshold for a tenant, detection type and framework, None takes it away; returns the exit status."""
    settings = load_settings(config, set_, data_dir)
    tenant, detector, framework = where
    if confidence is not None and detector not in (told := _types_told()):
        raise WrongUsage(f"nothing is told as {detector!r}; {nearest(detector, told)}")
    said = {
        "tenant": tenant,
        "detector": detector,
        "framework": framework,
        "min_confidence": confidence,
        "who": person(),
        "version": max(time.time_ns() // 1_000_000, 1 + _known_version(settings, where)),
        "at": rfc3339(time.time_ns()),
    }
    try:
        threshold = msgspec.convert(said, Threshold)
    except msgspec.ValidationError as error:
        raise WrongUsage(f"that cannot be set: {error}") from error
    publish(settings, [threshold_outgoing(threshold)])
    whose = f"{detector} on {framework}" if framework else detector
    typer.echo(f"{whose}: told from {confidence:.2f} on" if confidence is not None else f"{whose}: as usual again")
    return 0


def _types_told() -> set[str]:
    return {TYPE_OF.get(name, name) for name in detector_names()} | {COMPLETION}


def _known_version(settings: Settings, where: tuple[str, str, str]) -> int:
    with reading(settings) as query:
        held: dict[Any, int] = {(o.tenant, o.detector, o.framework): o.version for o in store_reading.thresholds(query)}
    return held.get(where, 0)
