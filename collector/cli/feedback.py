"""`tracemend feedback`: verdicts of people on detections, and what they say of the detectors."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import typer
from rapidfuzz import process

from collector.cli.configuration import load_settings
from collector.cli.output import WrongUsage, add_row, check_format, make_table, print_rows
from collector.cli.reading_source import reading
from collector.cli.saying import person, publish
from healing.saying import feedback_outgoing, found_confidence, verdict_on
from healing.threshold_advice import Advice, Quality, advise
from healing.verdict_statistics import Precision, statistics
from processors.readiness import after_verdicts, readiness
from processors.runs.thresholds import Thresholds
from schemas.people import CORRECT, WRONG, Feedback
from sinks import reading as store_reading

ALL = "(all)"
SHORTEST_ID = 4
NEAREST = 3


def give_feedback(
    config: Sequence[Path], set_: Sequence[str], data_dir: Path | None, id_: str, verdict: str, note: str
) -> int:
    """Publish a verdict on a detection; returns the exit status."""
    settings = load_settings(config, set_, data_dir)
    with reading(settings) as query:
        versions = _versions(store_reading.detection_versions(query, _checked(id_)), id_)
        ids = [] if versions else store_reading.detection_ids(query)
    if not versions:
        near = " or ".join(name for name, _, _ in process.extract(id_, ids, limit=NEAREST)) or "nothing was found yet"
        raise WrongUsage(f"there is no detection {id_!r}; nearest: {near}. See tracemend detections --format jsonl")
    try:
        said = verdict_on(versions[-1], found_confidence(versions), verdict, person(), note, time.time_ns())
    except msgspec.ValidationError as error:
        raise WrongUsage(f"that cannot be said: {error}") from error
    publish(settings, [feedback_outgoing(said)])
    typer.echo(f"{verdict}: {versions[-1]['title']}")
    return 0


def verdict_of(correct: bool, wrong: bool) -> str:
    """Read the two flags; raises WrongUsage unless it is one of them."""
    if correct == wrong:
        raise WrongUsage("say one of --correct and --wrong")
    return CORRECT if correct else WRONG


def show_statistics(
    config: Sequence[Path], set_: Sequence[str], data_dir: Path | None, format_: str, tenant: str
) -> int:
    """Print precision by people's verdicts; returns the exit status."""
    check_format(format_)
    with reading(load_settings(config, set_, data_dir)) as query:
        found = statistics(_of_tenant(store_reading.feedback(query), tenant))
    titles = ("detector", "framework", "tier", "samples", "correct", "disputed", "precision", "95 % interval")
    table = make_table(*titles, "readiness")
    for one in found:
        add_row(table, *_statistics_cells(one))
    if not found:
        table.caption = "nobody has judged anything yet: tracemend feedback ID --correct|--wrong"
    print_rows(format_, [one._asdict() | {"readiness": _readiness(one)} for one in found], table)
    return 0


def show_advice(config: Sequence[Path], set_: Sequence[str], data_dir: Path | None, format_: str, tenant: str) -> int:
    """Print which thresholds the verdicts speak for; returns the exit status."""
    check_format(format_)
    thresholds = Thresholds()
    with reading(load_settings(config, set_, data_dir)) as query:
        verdicts = _of_tenant(store_reading.feedback(query), tenant)
        thresholds.restore(store_reading.thresholds(query))
    found = advise(verdicts, lambda detector, framework: thresholds.least(tenant, detector, framework))
    table = make_table("detector", "framework", "samples", "advice", "from", "to", "precision", "recall", "F1", "why")
    for one in found:
        add_row(table, *_advice_cells(one))
    if not found:
        table.caption = "nobody has judged anything yet: tracemend feedback ID --correct|--wrong"
    print_rows(format_, [_document(one) for one in found], table)
    return 0


def _checked(id_: str) -> str:
    """Refuse a beginning that says too little, or is none of an id."""
    if len(id_) < SHORTEST_ID or not all(char.isalnum() or char in "-._" for char in id_):
        raise WrongUsage(f"{id_!r} is no beginning of an id: give at least {SHORTEST_ID} of its digits")
    return id_


def _versions(found: Sequence[dict[str, Any]], id_: str) -> list[dict[str, Any]]:
    """Give the versions of the one detection that is meant, oldest first."""
    exact = [one for one in found if one["id"] == id_]
    versions = exact or list(found)
    meant = sorted({(one["tenant"], one["id"]) for one in versions})
    if len(meant) > 1:
        some = ", ".join(detection_id for _, detection_id in meant[:3])
        raise WrongUsage(f"{id_!r} is the beginning of more than one id ({some} ...); give more of it")
    return versions


def _of_tenant(verdicts: Sequence[Feedback], tenant: str) -> list[Feedback]:
    return [said for said in verdicts if said.tenant == tenant]


def _statistics_cells(one: Precision) -> Sequence[str]:
    framework = ALL if one.framework is None else one.framework or "-"
    tier = ALL if one.tier is None else str(one.tier)
    counts = (str(one.samples), str(one.correct), str(one.disputed))
    return (
        one.detector,
        framework,
        tier,
        *counts,
        _share(one.precision),
        f"{one.low:.2f}-{one.high:.2f}",
        _readiness(one),
    )


def _readiness(one: Precision) -> str:
    """Say how ready a detector is by labelled runs, and by what people say of it here."""
    return after_verdicts(readiness(one.detector), one.high)


def _advice_cells(one: Advice) -> Sequence[str]:
    to = one.proposed or one.current
    changes = [_change(one.current, to, name) for name in ("precision", "recall", "f1")]
    proposed = f"{one.proposed.threshold:.2f}" if one.proposed else "-"
    where = ALL if one.framework is None else one.framework
    return (
        *(one.detector, where, str(one.samples), one.advice, f"{one.current.threshold:.2f}", proposed),
        *changes,
        one.why,
    )


def _change(before: Quality, after: Quality, name: str) -> str:
    old, new = _share(getattr(before, name)), _share(getattr(after, name))
    return old if before == after else f"{old} > {new}"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.2f}"


def _document(one: Advice) -> dict[str, Any]:
    """Write advice with its parts by name."""
    document = one._asdict()
    for name in ("current", "proposed"):
        quality: Quality | None = document[name]
        document[name] = quality._asdict() if quality is not None else None
    return document
