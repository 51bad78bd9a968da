"""One diagnosis of a run: pure, of its case and of its detections alone, whoever asks and whenever."""

from __future__ import annotations

from collections.abc import Iterable

from processors.diagnosing.case import Case
from processors.diagnosing.causes import chain_of, suspects
from processors.diagnosing.flow import Flow
from processors.diagnosing.outcome import failed_root, outcome_of
from processors.diagnosing.told import Told, standing
from processors.diagnosing.words import paragraph, title_of
from schemas.run_summary import FAILURES, RUNNING, Diagnosis


def diagnose(case: Case, told: Iterable[Told], run_id: str, ended: bool = True) -> tuple[str, Diagnosis]:
    """Say how a run ended, and what went wrong in it."""
    flow = Flow(case.steps())
    outcome = outcome_of(flow) if ended else RUNNING
    chain = chain_of(flow, standing(told))
    primary = chain.primary()
    root = failed_root(flow)
    error = root.error if root is not None else ""
    blames = primary is not None or outcome in FAILURES or root is not None
    accused = suspects(flow, run_id, chain)
    return outcome, Diagnosis(
        blames,
        primary.id if primary is not None else "",
        title_of(outcome, primary, error),
        paragraph(outcome, error, chain.found, primary, accused, blames),
        tuple(chain.found),
        accused,
    )
