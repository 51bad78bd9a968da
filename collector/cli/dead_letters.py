"""`tracemend dead-letters list|replay`: what could not be handled, and putting it back once it can be."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import typer

from collector.bus.letters import Letter, letters, put_back, why_not
from collector.bus.protocol import Bus
from collector.cli.configuration import load_settings
from collector.cli.detections import parse_since
from collector.cli.output import WrongUsage, add_row, check_format, make_table, print_rows
from collector.opened_bus import open_bus
from config.settings import Settings
from schemas.timestamps import rfc3339
from schemas.topics import BY_NAME, DEAD_LETTERS

PUBLISH_SECONDS = 60.0
AT_ONCE = 100
EMBEDDED_PATIENCE, KAFKA_PATIENCE = 0.0, 3.0


class Which(NamedTuple):
    """Which dead letters are meant; empty means all. `topic` is where a record came from."""

    ids: Sequence[str] = ()
    topic: str = ""
    since: str = ""
    error: str = ""
    stage: str = ""


def show_letters(config: Sequence[Path], set_: Sequence[str], data_dir: Path | None, format_: str, which: Which) -> int:
    """Print dead letters, oldest first; returns 0."""
    check_format(format_)
    settings = load_settings(config, set_, data_dir)
    with _opened(settings) as bus:
        found = list(_meant(bus, settings, which))
    table = make_table("when", "id", "came from", "stage", "tenant", "bytes", "error")
    for one in found:
        row = _row(one)
        add_row(
            table,
            row["time"][:19].replace("T", " "),
            one.id,
            f"{one.topic}/{one.partition}/{one.offset}",
            one.stage,
            one.tenant,
            f"{one.size}" + (" (cut)" if one.is_cut else ""),
            f"{one.error_class}: {one.error_text}",
        )
    if not found:
        table.caption = "there are none"
    print_rows(format_, [_row(one) for one in found], table)
    return 0


def replay(config: Sequence[Path], set_: Sequence[str], data_dir: Path | None, which: Which, sure: bool) -> int:
    """Put dead letters back where they came from; returns 1 where some of them could not be."""
    if which == Which():
        raise WrongUsage("say which: ids that `dead-letters list` shows, --topic, --since, --error or --stage")
    settings = load_settings(config, set_, data_dir)
    with _opened(settings) as bus:
        found = list(_meant(bus, settings, which)) if bus is not None else []
        _all_found(found, which)
        refused = [(one, reason) for one in found if bus is not None and (reason := why_not(one, bus))]
        for one, reason in refused:
            sys.stderr.write(f"{one.id} is not put back: {reason}\n")
        unable = {one.id for one, _ in refused}
        able = [one for one in found if one.id not in unable]
        if able and bus is not None:
            _confirm(able, sure)
            _publish(bus, able)
    typer.echo(f"{len(able)} put back, {len(refused)} not")
    return int(bool(refused))


def _publish(bus: Bus, able: Sequence[Letter]) -> None:
    for begin in range(0, len(able), AT_ONCE):
        records = [put_back(one, time.time_ns()) for one in able[begin : begin + AT_ONCE]]
        bus.publish(records).result(PUBLISH_SECONDS)


def _confirm(able: Sequence[Letter], sure: bool) -> None:
    if sure:
        return
    if not sys.stdin.isatty():
        raise WrongUsage("nobody is there to be asked: give --yes")
    topics = ", ".join(sorted({one.topic for one in able}))
    if not typer.confirm(f"Put {len(able)} records back on {topics}?", err=True):
        raise WrongUsage("nothing was put back")


def _meant(bus: Bus | None, settings: Settings, which: Which) -> Iterator[Letter]:
    if which.topic and which.topic not in BY_NAME:
        raise WrongUsage(f"there is no topic {which.topic!r}: use {', '.join(BY_NAME)}")
    since_ns = parse_since(which.since, time.time_ns())
    wanted = {_full_id(id_) for id_ in which.ids}
    patience = EMBEDDED_PATIENCE if settings.bus.kafka is None else KAFKA_PATIENCE
    found: Iterable[Letter] = letters(bus, patience) if bus is not None else ()
    for one in found:
        asked = not wanted or one.id in wanted
        of_it = (not which.topic or one.topic == which.topic) and (not which.stage or one.stage == which.stage)
        if asked and of_it and one.record.append_ns >= since_ns and which.error in ("", one.error_class):
            yield one


def _all_found(found: Sequence[Letter], which: Which) -> None:
    missing = {_full_id(id_) for id_ in which.ids} - {one.id for one in found}
    if missing:
        raise WrongUsage(f"there is no dead letter {', '.join(sorted(missing))}; see tracemend dead-letters list")


def _full_id(id_: str) -> str:
    """Take `0/17` for `dead_letters/0/17`."""
    return id_ if id_.startswith(f"{DEAD_LETTERS}/") else f"{DEAD_LETTERS}/{id_}"


@contextmanager
def _opened(settings: Settings) -> Iterator[Bus | None]:
    """Open the bus that is configured, also beside a running pipeline; None where there is none yet."""
    if settings.bus.kafka is None and not (settings.service.data_dir / "bus" / "bus.sqlite").exists():
        yield None
        return
    bus = open_bus(settings, readers=())  # a command removes nothing that the pipeline has still to read
    try:
        yield bus
    finally:
        bus.close()


def _row(one: Letter) -> dict[str, Any]:
    return {
        "id": one.id,
        "time": rfc3339(one.record.append_ns),
        "topic": one.topic,
        "partition": one.partition,
        "offset": one.offset,
        "key": one.record.key,
        "tenant": one.tenant,
        "stage": one.stage,
        "error_class": one.error_class,
        "error_text": one.error_text,
        "size": one.size,
        "kept": len(one.record.value),
    }
