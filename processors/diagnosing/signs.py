"""What speaks for a step being at fault, in figures that add up, and in words.

The figures are the logarithms by which a sign makes a step likelier to be the one. They were chosen, and rounded, on
73 failed runs of several agents with the step at fault labelled by people; each is of a kind that any run may show,
and none looks at a word of a task or a name of an agent. On those runs they name the agent in 68 %, the step in 44 %;
fitted anew with each run left out in turn, such figures reach 63 and 38 %, and the first step that does anything 49
and 27 %.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import log1p
from typing import NamedTuple

from processors.diagnosing.flow import Flow
from processors.diagnosing.notes import Note
from processors.diagnosing.outcome import is_failure, says_it_could_not
from processors.error_causes import INVALID_ARGUMENTS, NOT_FOUND, cause_of
from schemas.step import LLM, TOOL

LATER = -0.4
"""For each e-fold of steps before it: causes come early, and what follows a fault often only carries it on."""
OPENS, LEADS = -0.5, -1.5
"""A first word that nobody asked for states the request; who hands work on is told by those who do it."""
ACTS, OWN_FIGURES, OF_THE_ANSWER = 0.6, 0.3, 1.0
CALL_FAILED, CALL_EMPTY, SHORT_REPLY = 0.6, 0.5, 1.5
FAILED_ITSELF, CAUSED_FAILURE, WAS_CARRIED, RECOVERED = 2.0, 2.0, -1.0, -1.4
"""Failures that spans record weigh more than what texts hint at, less where the same call worked later."""
COULD_NOT, UNHEARD = 1.0, 1.0

FAILURE_WORDS = ("traceback", "exception", "error", "failed", "not found", "timed out", "denied")
NOTHING = ("[]", "{}", "none", "null", '""', "''")
SHORT_RESULT = 200
"""Characters up to which a result that ends in nothing is taken to be nothing."""
TELLING = 40
"""Characters from which on a text is taken for a request, or an answer."""
CALLERS_FAULT = (INVALID_ARGUMENTS, NOT_FOUND)


class Sign(NamedTuple):
    """One thing that speaks for (or with a negative weight against) a step; `words` are empty where none help."""

    weight: float
    words: str = ""


class Reading:
    """Reads the signs of a run's steps, in their order."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._known: set[bytes] = set()
        self._worked = 0
        self._request = ""
        self._answered_at, self._answer = _answer(flow)
        self._first_shown = _first_shown(flow)

    def signs(self) -> Iterator[tuple[Note, list[Sign]]]:
        """Give the signs of each step that may be at fault."""
        for root in self._flow.roots:
            self._known.update(root.given.split())
        for number, note in enumerate(self._flow.workers):
            if note.kind == LLM:
                self._known.update(note.given.split())
                yield note, list(self._of_a_model(note, number))
            elif note.error or note.kind != TOOL:
                yield note, [self._later(), *self._of_a_failure(note), *_of_a_message(note)]
            self._known.update(note.figures.split())
        yield from self._of_those_around()

    def _later(self) -> Sign:
        return Sign(LATER * log1p(max(0, self._worked - 1)))

    def _of_a_model(self, note: Note, number: int) -> Iterator[Sign]:
        flow = self._flow
        opens = number == 0 and not note.heard_size
        leads = bool(flow.lead) and flow.agent(note) == flow.lead
        self._worked += not (opens or leads)
        yield self._later()
        if opens:
            yield Sign(OPENS)
        elif leads:
            yield Sign(LEADS)
        else:
            yield from self._of_own_figures(note)
        yield from self._of_calls(note)
        yield from self._of_the_answer(number)
        yield from self._of_a_reply(note, leads)
        yield from self._of_a_failure(note)
        if says_it_could_not(note.said):
            yield Sign(COULD_NOT, "it says that it could not do what was asked")

    def _of_own_figures(self, note: Note) -> Iterator[Sign]:
        shown = set(note.figures.split())
        for call in self._flow.calls_of(note):
            shown.update(call.given.split())
        own = len(shown - self._known)
        if own:
            yield Sign(OWN_FIGURES * log1p(own), f"it brings in {_count(own, 'figure')} that nothing before it shows")

    def _of_calls(self, note: Note) -> Iterator[Sign]:
        calls = self._flow.calls_of(note)
        if calls or note.calls or "```" in note.said:
            yield Sign(ACTS)
        blamed = next((call for call in calls if _is_callers_fault(call)), None)
        if blamed is not None:
            yield Sign(CAUSED_FAILURE, f"its call of {blamed.name or 'a tool'} failed: {blamed.error}")
        elif any(looks_failed(call) for call in calls):
            yield Sign(CALL_FAILED, "the result of its call reads like a failure")
        elif any(looks_empty(call) for call in calls):
            yield Sign(CALL_EMPTY, "its call brought nothing back")

    def _of_the_answer(self, number: int) -> Iterator[Sign]:
        if number == self._answered_at:
            return
        part = sum(self._first_shown.get(figure) == number for figure in self._answer)
        if part:
            words = f"{part} of the {_count(len(self._answer), 'figure')} in the answer first stood there"
            yield Sign(OF_THE_ANSWER * part / len(self._answer), words)

    def _of_a_reply(self, note: Note, leads: bool) -> Iterator[Sign]:
        """Compare what another agent answers its lead with what that asked for."""
        if leads:
            if note.said_size > TELLING:
                self._request = note.said
        elif self._flow.lead and self._request and note.said:
            left_out = _left_out(self._request, note.said)
            yield Sign(
                SHORT_REPLY * left_out, "its reply takes up little of what it was asked" if left_out > 0.5 else ""
            )

    def _of_a_failure(self, note: Note) -> Iterator[Sign]:
        if not is_failure(note):
            return
        yield Sign(0.0 if note.kind == TOOL and _is_callers_fault(note) else FAILED_ITSELF, f"it failed: {note.error}")
        if self._flow.worked_later(note):
            yield Sign(RECOVERED, "the same worked later")

    def _of_those_around(self) -> Iterator[tuple[Note, list[Sign]]]:
        """Look at failed steps that others are part of: most only pass on what failed inside of them."""
        working = {note.span_id for note in self._flow.workers}
        failed = [note for note in self._flow.workers if note.error]
        inner = {above.span_id for note in failed for above in self._flow.above(note)}
        inner.update(root.span_id for root in self._flow.roots if failed)
        for note in self._flow.steps:
            if note.span_id not in working and is_failure(note):
                carried = [Sign(WAS_CARRIED)] if note.span_id in inner else []
                yield note, [self._later(), Sign(FAILED_ITSELF, f"it failed: {note.error}"), *carried]


def _of_a_message(note: Note) -> Iterator[Sign]:
    if note.unacknowledged:
        yield Sign(UNHEARD, f"nobody acknowledged its message{f' to {note.to}' if note.to else ''}")


def looks_failed(call: Note) -> bool:
    """Say whether a call failed, by its span or by how its result reads."""
    return bool(call.error) or any(word in call.said[:SHORT_RESULT].lower() for word in FAILURE_WORDS)


def looks_empty(call: Note) -> bool:
    """Say whether a call brought nothing; a result that was not captured is not known to be nothing."""
    said = call.said.strip().lower()
    return bool(call.said_size) and call.said_size <= SHORT_RESULT and said.endswith(NOTHING)


def _is_callers_fault(call: Note) -> bool:
    return is_failure(call) and cause_of("", call.error) in CALLERS_FAULT


def _answer(flow: Flow) -> tuple[int, list[bytes]]:
    """Say which worker answers in the end, and give the figures of that which do not stand in the request."""
    asked = {figure for root in flow.roots for figure in root.given.split()}
    for number, note in reversed(list(enumerate(flow.workers))):
        if note.kind == LLM and note.said_size > TELLING:
            return number, [figure for figure in dict.fromkeys(note.figures.split()) if figure not in asked]
    return -1, []


def _first_shown(flow: Flow) -> dict[bytes, int]:
    """Say which worker showed each figure first."""
    shown: dict[bytes, int] = {}
    for number, note in enumerate(flow.workers):
        for figure in note.figures.split():
            shown.setdefault(figure, number)
    return shown


def _left_out(request: str, reply: str) -> float:
    """Say which part of the words of a request a reply has none of; 0 to 1."""
    asked = {word for word in _words(request) if len(word) > 3 or word.isdigit()}
    return len(asked - set(_words(reply))) / len(asked) if asked else 0.0


def _words(text: str) -> list[str]:
    return "".join(char if char.isalnum() else " " for char in text.lower()).split()


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
