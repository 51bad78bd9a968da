"""`tracemend components` and `tracemend print-config`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import typer
from pydantic import BaseModel, SecretStr

from collector.cli.configuration import load_settings
from collector.cli.output import add_row, check_format, make_table, print_rows
from config.settings import Settings
from config.sources import dump

SECTIONS = ("receivers", "processors", "sinks", "extensions")
REDACTED = "[REDACTED]"


def print_components(format_: str) -> int:
    """Print what there is; returns the exit status."""
    from collector.components import components, detector_names
    from processors.readiness import EXPERIMENTAL, readiness

    check_format(format_)
    parts, detectors = components(), detector_names()
    found = [{**part._asdict(), "settings": _names(part.settings)} for part in parts]
    for part in found:
        part["readiness"] = readiness(part["kind"]) if part["kind"] in detectors else None
    table = make_table("section", "type", "readiness", "settings", "what it is")
    table.columns[2].min_width = len(EXPERIMENTAL)
    table.columns[3].no_wrap, table.columns[3].overflow = False, "fold"  # the list that gives way where room is short
    for part in found:
        settings = ", ".join(part["settings"]) or "-"
        add_row(table, part["section"], (part["kind"], "bold"), part["readiness"] or "-", settings, part["description"])
    print_rows(format_, found, table)
    return 0


def print_configuration(config: Sequence[Path], set_: Sequence[str], data_dir: Path | None, format_: str) -> int:
    """Print the configuration that would run; returns the exit status."""
    check_format(format_, ("yaml", "json"))
    whole = whole_configuration(load_settings(config, set_, data_dir))
    typer.echo(dump(whole) if format_ == "yaml" else orjson.dumps(whole, option=orjson.OPT_INDENT_2).decode())
    return 0


def whole_configuration(settings: Settings) -> dict[str, Any]:
    """Write settings out with their defaults, secrets redacted."""
    whole: dict[str, Any] = {
        section: {name: _plain(model) for name, model in getattr(settings, section).items()} for section in SECTIONS
    }
    whole["healing"] = _plain(settings.healing)
    whole["bus"] = _plain(settings.bus)
    whole["models"] = {name: _plain(model) for name, model in settings.models.items()}
    whole["service"] = _plain(settings.service)
    return whole


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return REDACTED if value.get_secret_value() else ""
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _names(model: type[BaseModel]) -> list[str]:
    return [name for name in model.model_fields if name != "enabled"]
