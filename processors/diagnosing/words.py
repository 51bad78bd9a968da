"""A diagnosis in words: one paragraph that somebody who is on call can act on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from processors.diagnosing.flow import Flow
from processors.diagnosing.outcome import failed_root
from schemas.run_summary import COMPLETED, FAILED, GAVE_UP, OPEN_ENDED, RUNNING, UNANSWERED, Found, Suspect

ENDED = {
    COMPLETED: "The run ended with an answer.",
    FAILED: "The run failed.",
    GAVE_UP: "The run ended by saying that it could not do what was asked.",
    UNANSWERED: "The run stopped at a result that nobody took up, without an answer.",
    OPEN_ENDED: "The run went quiet; the span it began with never ended.",
    RUNNING: "The run has not ended yet.",
}
NOTHING_WRONG = "nothing went wrong that shows"
FAILURE_TITLES = {GAVE_UP: "gave up", UNANSWERED: "no answer"}
MOST_NAMED = 3
TOGETHER = 0.5
"""Share of the blame from which on it is one step's rather than spread."""


def title_of(outcome: str, primary: Found | None, flow: Flow) -> str:
    """Name what went wrong in a few words."""
    if primary is not None:
        return primary.title
    root = failed_root(flow)
    if root is not None:
        return f"failed: {root.error}"
    return FAILURE_TITLES.get(outcome, "failed" if outcome == FAILED else NOTHING_WRONG)


def paragraph(
    outcome: str, title: str, found: Sequence[Found], primary: Found | None, accused: Sequence[Suspect], blames: bool
) -> str:
    """Write it all as one paragraph, on one line."""
    sentences = [ENDED[outcome]]
    if primary is not None:
        sentences += _of_found(found, primary)
    elif outcome == FAILED:
        sentences.append(f"It {title}." if title != FAILED else "Its last step did.")
    elif not blames:
        sentences.append("Nothing went wrong that shows.")
    sentences += _of_suspects(accused, blames)
    return _clean(" ".join(sentences))


def _of_found(found: Sequence[Found], primary: Found) -> Iterator[str]:
    yield f"It began with this: {primary.title}."
    follow = [one.title for one in found if one.because == primary.id]
    if follow:
        yield f"From that followed: {_listed(follow)}."
    apart = [one.title for one in found if one.id != primary.id and not one.because]
    if apart:
        yield f"Beside it, and not explained by it: {_listed(apart)}."


def _of_suspects(accused: Sequence[Suspect], blames: bool) -> Iterator[str]:
    if not accused:
        return
    first = accused[0]
    place = _place(first)
    if blames:
        yield f"Most likely at fault is {place}{_why(first)}."
        if first.share < TOGETHER and len(accused) > 1:
            yield f"That is not sure ({first.share:.0%} of what speaks for any step); next comes {_place(accused[1])}."
    else:
        yield f"Should its result be wrong all the same, look first at {place}{_why(first)}."


def _why(suspect: Suspect) -> str:
    return f": {'; '.join(suspect.why)}" if suspect.why else ""


def _place(suspect: Suspect) -> str:
    what = f"the {suspect.kind} step {suspect.name}".rstrip()
    whose = f" of {suspect.agent}" if suspect.agent else ""
    return f"{what}{whose} (span {suspect.span.span_id})"


def _listed(titles: Sequence[str]) -> str:
    named = "; ".join(titles[:MOST_NAMED])
    more = len(titles) - MOST_NAMED
    return f"{named}; and {more} more" if more > 0 else named


def _clean(text: str) -> str:
    """Keep a text to one printable line: names and errors in it come from spans."""
    return "".join(char if char.isprintable() else " " for char in text)
