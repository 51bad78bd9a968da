"""How a run ended, by what its root and its last steps say."""

from __future__ import annotations

from processors.diagnosing.flow import Flow
from processors.diagnosing.notes import Note
from processors.error_causes import CONTROL_FLOW, cause_of
from schemas.run_summary import COMPLETED, FAILED, GAVE_UP, OPEN_ENDED, UNANSWERED
from schemas.step import HANDOFF, LLM, RETRIEVAL, TOOL

COULD_NOT = (
    "i was unable to",
    "we were unable to",
    "i could not",
    "i couldn't",
    "we could not",
    "we couldn't",
    "i was not able to",
    "i wasn't able to",
    "we were not able to",
    "i failed to",
)
"""English, in the first person: who speaks tried and did not succeed. What nobody may do ("this cannot be changed") is
an answer."""


def outcome_of(flow: Flow) -> str:
    """Name how a run ended that is over."""
    if failed_root(flow) is not None:
        return FAILED
    last = flow.workers[-1] if flow.workers else None
    if not flow.roots:
        return FAILED if last is not None and is_failure(last) else OPEN_ENDED
    if says_it_could_not(answer_of(flow)):
        return GAVE_UP
    return UNANSWERED if last is not None and _is_unanswered(flow, last) else COMPLETED


def failed_root(flow: Flow) -> Note | None:
    """Give the root that says the run failed."""
    return next((root for root in flow.roots if is_failure(root)), None)


def is_failure(note: Note) -> bool:
    """Say whether a step failed; frameworks also raise to pause or hand over, which is none."""
    return bool(note.error) and cause_of("", note.error) != CONTROL_FLOW


def answer_of(flow: Flow) -> str:
    """Give what the run answered, as far as it is kept."""
    root = next((root.said for root in flow.roots if root.said), "")
    return root or next((note.said for note in reversed(flow.workers) if note.kind == LLM and note.said), "")


def says_it_could_not(text: str) -> bool:
    """Say whether somebody says that what was asked of them did not work out."""
    heard = text.lower().replace("\u2019", "'")
    return any(words in heard for words in COULD_NOT)


def _is_unanswered(flow: Flow, last: Note) -> bool:
    """Say whether the run stopped at a result that nobody took up, though before there were answers to see."""
    if last.kind not in (TOOL, RETRIEVAL, HANDOFF) or any(root.said_size for root in flow.roots):
        return False
    return any(note.kind == LLM and note.said for note in flow.workers)
