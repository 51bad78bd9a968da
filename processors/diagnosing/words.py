"""A diagnosis in words: one paragraph that somebody who is on call can act on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from schemas.run_summary import COMPLETED, FAILED, GAVE_UP, OPEN_ENDED, RUNNING, UNANSWERED, Found, Suspect

ENDED = {
    COMPLETED: "The run ended with an answer",
    FAILED: "The run failed",
    GAVE_UP: "The run ended by saying that it could not do what was asked",
    UNANSWERED: "The run stopped at a result that nobody took up, without an answer",
    OPEN_ENDED: "The run went quiet, and the span it began with never ended",
    RUNNING: "The run has not ended yet",
}
NOTHING_WRONG = "nothing went wrong that shows"
FAILURE_TITLES = {FAILED: "failed", GAVE_UP: "gave up", UNANSWERED: "no answer"}
MOST_NAMED = 3
TOGETHER = 0.5
"""Share of the blame from which on it is one step's rather than spread."""


def title_of(outcome: str, primary: Found | None, error: str) -> str:
    """Name what went wrong in a few words; `error` is what the failed root says."""
    if primary is not None:
        return primary.title
    if error:
        return f"failed: {error}"
    return FAILURE_TITLES.get(outcome, NOTHING_WRONG)


def paragraph(
    outcome: str, error: str, found: Sequence[Found], primary: Found | None, accused: Sequence[Suspect], blames: bool
) -> str:
    """Write it all as one paragraph, on one line."""
    sentences = [f"{ENDED[outcome]}{f': {error}' if error else ''}."]
    if primary is not None:
        sentences += _of_found(found, primary)
    elif not blames:
        sentences.append("Nothing went wrong that shows.")
    sentences += _of_suspects(accused, blames)
    return _clean(" ".join(sentences))


def _of_found(found: Sequence[Found], primary: Found) -> Iterator[str]:
    yield f"What went wrong first: {primary.title}."
    follow = [one.title for one in found if one.because == primary.id]
    if follow:
        yield f"From that followed: {_listed(follow)}."
    apart = [one.title for one in found if one.id != primary.id and one.because != primary.id]
    if apart:
        yield f"Beside it: {_listed(apart)}."


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
