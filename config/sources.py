"""Where a configuration comes from: the built-in one, then each `--config` in turn, then each `--set`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path as FilePath
from typing import Any

import yaml

from config.problems import Path, Place, Problem
from config.yaml_dialect import Document, parse

BUSES = ("embedded", "kafka")
BUILT_IN = "built-in default.yaml"


def default_text() -> str:
    """Read the configuration that is built in."""
    return (files("config") / "default.yaml").read_text("utf-8")


def gather(
    config: Sequence[FilePath], settings: Sequence[str], environment: Mapping[str, str] | None = None
) -> Document:
    """Read and merge everything, left to right: maps merge, scalars and lists are replaced."""
    known = os.environ if environment is None else environment
    merged = parse(BUILT_IN, default_text(), known)
    for path in config:
        document = _file(path, known)
        _choose_protocols(merged.value, document.value)
        _choose_bus(merged.value, document.value)
        _merge(merged, document)
    for setting in settings:
        document = _set(setting, known)
        _choose_bus(merged.value, document.value)
        _merge(merged, document)
    return merged


def _choose_protocols(below: Any, above: Any) -> None:
    """Let a file that lists a receiver's protocols choose them: one it leaves out is off, as in the Collector."""
    receivers = above.get("receivers") if isinstance(above, dict) else None
    for name, receiver in (receivers if isinstance(receivers, dict) else {}).items():
        known = below.get("receivers", {}).get(name)
        if isinstance(receiver, dict) and isinstance(receiver.get("protocols"), dict) and isinstance(known, dict):
            known["protocols"] = {key: known.get("protocols", {}).get(key) for key in receiver["protocols"]}


def _choose_bus(below: Any, above: Any) -> None:
    """Let whoever names a bus choose it: the one below, unless both are named, is not there then."""
    bus, known = (above.get("bus") if isinstance(above, dict) else None), below.get("bus")
    if isinstance(bus, dict) and isinstance(known, dict):
        named = [kind for kind in BUSES if kind in bus]
        for other in BUSES if len(named) == 1 else ():
            if other not in named:
                known.pop(other, None)


def _file(path: FilePath, environment: Mapping[str, str]) -> Document:
    try:
        document = parse(str(path), path.read_text("utf-8"), environment)
    except (OSError, UnicodeDecodeError) as error:
        document = Document()
        document.problems.append(Problem(Place(str(path), 0), (), f"cannot be read: {error}"))
        return document
    if not isinstance(document.value, dict):
        document.problems.append(Problem(Place(str(path), 1), (), "must be a mapping of sections"))
        document.value = {}
    return document


def _set(setting: str, environment: Mapping[str, str]) -> Document:
    """Read `a::b=VALUE`; the value is YAML, as it would be in a file."""
    key, equals, text = setting.partition("=")
    source = f"--set {key.strip()}"  # without the value, which may be a secret
    path = tuple(part.strip() for part in key.split("::"))
    document = Document()
    if not equals or not all(path):
        document.problems.append(Problem(Place(source, 0), (), "must be of the form a::b=VALUE"))
        return document
    document = parse(source, text, environment)
    document.places = {(*path, *below): Place(source, 0) for below in document.places}
    document.problems = [Problem(Place(source, 0), path, problem.message) for problem in document.problems]
    value = None if text.strip() == "" else document.value
    for part in reversed(path):
        value = {part: value}
    document.value = value
    for length in range(1, len(path)):
        document.places.setdefault(path[:length], Place(source, 0))
    return document


def _merge(into: Document, document: Document) -> None:
    into.problems += document.problems
    if isinstance(document.value, dict):
        into.value = _merged(into.value, document.value)
    places = {path: place for path, place in document.places.items() if path}
    into.places.update(places)


def _merged(below: Any, above: Any) -> Any:
    """Merge two values; an empty value above a map leaves the map as it is (`otlp:` means its defaults)."""
    if isinstance(below, dict) and above is None:
        return below
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return {key: _merged(below.get(key), above[key]) if key in above else below[key] for key in (*below, *above)}


def dump(value: Any) -> str:
    """Write a configuration as YAML."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=False)


def place_of(document: Document, path: Path) -> Place:
    """Say where a path stands, or the nearest thing above it that has a place."""
    for length in range(len(path), 0, -1):
        if path[:length] in document.places:
            return document.places[path[:length]]
    return Place(BUILT_IN, 0)
