"""A run's steps as rows to be read at a glance: nested as they happened, with what repeats and what is dull folded.

Nothing is folded away that somebody came for: failures, steps at fault, and steps that detections begin or end at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from msgspec.structs import replace as replace_struct

from schemas.step import AGENT, OTHER, STEP, WORKFLOW, Step, called

WRAPPERS = (STEP, WORKFLOW, OTHER)
"""Kinds of which nothing is shown but what they hold, where they hold anything."""
DEEPEST = 12
LONGEST_PERIOD, FEWEST_ROUNDS = 4, 3
"""So many steps in a row, so many times the same, are told once."""
SHOWN_CHARACTERS = 400
MOST_ROWS, AT_THE_ENDS, AROUND = 60, 12, 1
"""Of more rows than that the ends are shown, and those next to anything that matters."""


@dataclass(frozen=True)
class Row:
    """One line: a step, or so many like it (`folded`), of which each is followed by those of the next lines.

    `period` is of how many lines a round of them is, on the first one of these; else 0. `pins` are numbers of
    detections that begin or end there; `elided` says that steps were left out, whatever they are.
    """

    step: Step
    depth: int
    pins: tuple[int, ...] = ()
    at_fault: bool = False
    folded: int = 1
    period: int = 0
    elided: bool = False
    tokens: int = 0
    until_ns: int = 0

    @property
    def matters(self) -> bool:
        """Say whether somebody may look for just this row."""
        return bool(self.pins) or self.at_fault or (self.step.failed and self.folded == 1)


def slim(step: Step) -> Step:
    """Give a step with no more of its texts than a line can show: a long run's would fill the memory."""
    calls = tuple(replace_struct(call, args=call.args[:SHOWN_CHARACTERS]) for call in step.calls)
    texts = {name: getattr(step, name)[:SHOWN_CHARACTERS] for name in ("output_text", "result", "args", "error")}
    unread: dict[str, Any] = {
        "input_text": "",
        "system_prompt": "",
        "state": "",
        "answers": (),
        "metrics": (),
        "links": (),
    }
    return replace_struct(step, calls=calls, **unread, **texts)


def rows_of(steps: Sequence[Step], pins: Mapping[str, Sequence[int]], at_fault: str) -> list[Row]:
    """Lay a run out. `pins` are numbers of detections by span, `at_fault` is the span that is blamed."""
    rows = [
        Row(
            step,
            depth,
            pins=tuple(pins.get(step.span_id, ())),
            at_fault=step.span_id == at_fault,
            tokens=_tokens(step),
            until_ns=step.end_ns,
        )
        for step, depth in _nested(steps, {*pins, at_fault})
    ]
    folded = list(_folded(rows))
    return folded if len(folded) <= MOST_ROWS else list(_elided(folded))


def _nested(steps: Sequence[Step], wanted: set[str]) -> Iterator[tuple[Step, int]]:
    """Give the steps with their depth, each before those inside of it; parents come from clients, some in circles."""
    known, seen = {step.span_id for step in steps}, set[str]()
    inside: dict[str, list[Step]] = {}
    for step in steps:
        inside.setdefault(step.parent_span_id, []).append(step)
    outermost = [step for step in steps if step.parent_span_id not in known]
    for first in (*outermost, *steps):
        waiting = [(first, 0)]
        while waiting:
            step, depth = waiting.pop()
            if step.span_id in seen:
                continue
            seen.add(step.span_id)
            parts = inside.get(step.span_id, [])
            is_shown = not parts or step.kind not in WRAPPERS or step.failed or step.is_root or step.span_id in wanted
            if is_shown:
                yield step, min(depth, DEEPEST)
            waiting += [(part, depth + is_shown) for part in reversed(parts)]


def _tokens(step: Step) -> int:
    return step.usage.input + step.usage.output if step.usage is not None else 0


def _folded(rows: Sequence[Row]) -> Iterator[Row]:
    """Fold rounds of the same few steps into a line each step, where none of them matters."""
    marks = [None if row.matters else _mark(row) for row in rows]
    at = 0
    while at < len(rows):
        period, rounds = _rounds(marks, at)
        if rounds >= FEWEST_ROUNDS:
            for place in range(at, at + period):
                yield _together(rows[place : at + period * rounds : period], period if place == at else 0)
        else:
            period, rounds = 1, 1
            yield rows[at]
        at += period * rounds


def _mark(row: Row) -> tuple[object, ...]:
    """Say what makes a step the same as another: whose it is, what it does, with which arguments."""
    step = row.step
    does = step.args_hash or (step.output_hash if not step.calls else tuple(call.args_hash for call in step.calls))
    return (row.depth, step.kind, step.agent, called(step), step.failed, does)


def _rounds(marks: Sequence[object], at: int) -> tuple[int, int]:
    """Say how many steps repeat from here on, and how often; the shortest period that folds most."""
    best = (1, 1)
    for period in range(1, LONGEST_PERIOD + 1):
        rounds = 1
        while (
            None not in marks[at : at + period]
            and marks[at : at + period] == marks[at + rounds * period : at + (rounds + 1) * period]
        ):
            rounds += 1
        if rounds >= FEWEST_ROUNDS and period * rounds > best[0] * best[1]:
            best = (period, rounds)
    return best


def _together(rows: Sequence[Row], period: int) -> Row:
    tokens, until = sum(row.tokens for row in rows), max(row.until_ns for row in rows)
    return replace(rows[0], folded=len(rows), period=period, tokens=tokens, until_ns=until)


def _elided(rows: Sequence[Row]) -> Iterator[Row]:
    """Leave out what is far from the ends and from everything that matters; agents that begin stay."""
    kept = {*range(AT_THE_ENDS), *range(len(rows) - AT_THE_ENDS, len(rows))}
    mattering = [place for place, row in enumerate(rows) if row.matters]
    for place in _some(mattering):
        kept.update(range(place - AROUND, place + AROUND + 1))
    gone: list[Row] = []
    for place, row in enumerate(rows):
        if place not in kept:
            gone.append(row)
            continue
        if gone:
            yield _left_out(gone)
            gone = []
        yield row


def _some(places: Sequence[int]) -> Sequence[int]:
    """Keep the first and the last of what matters where that is very much."""
    half = MOST_ROWS // 2
    return places if len(places) <= 2 * half else [*places[:half], *places[-half:]]


def _left_out(rows: Sequence[Row]) -> Row:
    return replace(
        rows[0],
        depth=min(row.depth for row in rows),
        folded=sum(row.folded for row in rows),
        elided=True,
        tokens=sum(row.tokens for row in rows),
        until_ns=max(row.until_ns for row in rows),
    )


def agents_of(rows: Sequence[Row]) -> list[str]:
    """List the agents in the order they first have the word."""
    return list(dict.fromkeys(row.step.agent for row in rows if row.step.agent))


def is_agent(step: Step) -> bool:
    """Say whether a step is an agent's turn as a whole."""
    return step.kind == AGENT
