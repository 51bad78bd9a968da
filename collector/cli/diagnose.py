"""`tracemend diagnose`: what went wrong in a run, who and which step is at fault, and its steps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from collector.cli.configuration import load_settings
from collector.cli.detections import parse_since
from collector.cli.output import TABLE, WrongUsage, check_format, print_documents
from collector.cli.reading_source import reading
from collector.cli.timeline import slim
from collector.cli.timeline_view import print_diagnosis
from config.settings import Settings
from processors.diagnosing.case import new_case
from processors.diagnosing.notes import note_of
from processors.diagnosing.summing import summary_of
from processors.diagnosing.told import told_of
from processors.runs.state import Facts
from processors.spending.model_catalogue import PricedModels
from schemas.run_document import document_of
from sinks import reading as store_reading
from sinks.reading import Query

MOST_STEPS = 20_000
"""Steps that are laid out; of a longer run the first ones."""
AT_ONCE = 500


def show_diagnosis(
    config: Sequence[Path], set_: Sequence[str], data_dir: Path | None, format_: str, trace: str, since: str
) -> int:
    """Print the diagnosis of one run, or without a trace those of all that ended; returns the exit status."""
    check_format(format_)
    if not trace and format_ == TABLE:
        raise WrongUsage("name a trace (`tracemend runs` lists them), or use --format jsonl for all runs that ended")
    settings = load_settings(config, set_, data_dir)
    with reading(settings) as query:
        if trace:
            _show_one(query, settings, format_, trace.lower())
        else:
            print_documents(format_, store_reading.diagnoses(query, parse_since(since, time.time_ns())))
    return 0


def _show_one(query: Query, settings: Settings, format_: str, beginning: str) -> None:
    tenant, run_id = _the_run(query, beginning)
    told = store_reading.diagnosis(query, tenant, run_id)
    document = _as_of_now(query, settings, tenant, run_id) if told is None else told
    if format_ == TABLE:
        steps = islice(store_reading.steps(query, tenant, run_id), MOST_STEPS)
        print_diagnosis(document, [slim(step) for step in steps], told is not None)
    else:
        print_documents(format_, [document])


def _the_run(query: Query, beginning: str) -> tuple[str, str]:
    found = store_reading.runs_named(query, beginning)
    if not found:
        raise WrongUsage(f"there is no run whose id, or that of a trace of it, begins with {beginning!r}")
    if len(found) > 1:
        listed = ", ".join(run_id for _, run_id in found)
        raise WrongUsage(f"several runs begin with {beginning!r} ({listed} ...): give more of the id")
    return found[0]


def _as_of_now(query: Query, settings: Settings, tenant: str, run_id: str) -> dict[str, Any]:
    """Diagnose a run that has not ended as the run tracker would if it ended now."""
    models, facts, case = PricedModels(settings.models), Facts(), new_case()
    steps = store_reading.steps(query, tenant, run_id)
    while batch := list(islice(steps, AT_ONCE)):
        for step in batch:
            facts.learn(step)
        case.take([note_of(step, models) for step in batch], settings.service.lateness_steps)
    told = told_of(store_reading.detections_of_run(query, tenant, run_id))
    return document_of(summary_of(tenant, run_id, facts, case, told, ended=False))
