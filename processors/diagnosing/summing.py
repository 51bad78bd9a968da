"""Puts a run's summary together: what it used, how it ended, what went wrong."""

from __future__ import annotations

from collections.abc import Sequence

from processors.diagnosing.case import Case
from processors.diagnosing.diagnosis import diagnose
from processors.diagnosing.told import Told
from processors.runs.state import Facts
from schemas.metrics import DETECTOR_ERRORS
from schemas.run_summary import OPEN_ENDED, Diagnosis, RunSummary


def summary_of(
    tenant: str, run_id: str, facts: Facts, case: Case, told: Sequence[Told], ended: bool = True
) -> RunSummary:
    """Sum a run up; `version` is left to who publishes it."""
    steps, totals = case.steps(), case.all_totals()
    outcome, diagnosis = _diagnosed(case, told, run_id, ended)
    return RunSummary(
        tenant,
        run_id,
        0,
        steps[0].span(run_id).trace_id if steps else run_id,
        facts.service[1] if facts.service else "",
        facts.framework[1] if facts.framework else "",
        next((note.agent for note in (*case.roots, *steps) if note.agent), ""),
        facts.conversation_id[1] if facts.conversation_id else "",
        totals.started_ns,
        totals.ended_ns,
        outcome,
        totals.figures(),
        diagnosis,
    )


def _diagnosed(case: Case, told: Sequence[Told], run_id: str, ended: bool) -> tuple[str, Diagnosis]:
    """Diagnose a run; its figures are told also where that goes wrong, which is counted and said."""
    try:
        return diagnose(case, told, run_id, ended)
    except Exception as error:  # noqa: BLE001  # a bug in what reads clients' data must not hold up all other runs
        DETECTOR_ERRORS.labels(detector="run_tracker", error=type(error).__name__).inc()
        failure = f"the diagnosis itself failed: {type(error).__name__}"
        text = f"Nothing is known of what went wrong: {failure}."
        return OPEN_ENDED, Diagnosis(blames=False, primary="", title=failure, text=text)
