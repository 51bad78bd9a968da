"""Puts detections in causal order, and finds the step that most speaks for having begun it.

A cause comes before its effect and may have led to it (`Flow.leads_to`). What a failure costs (money, tokens, time,
room in the window) follows from it and explains nothing. Each effect lends its cause half of its own weight, so that
the first of a chain stands out over the loudest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import exp
from typing import NamedTuple

from processors.diagnosing.flow import Flow
from processors.diagnosing.notes import Note
from processors.diagnosing.signs import Reading, Sign
from processors.diagnosing.told import Told
from schemas.run_summary import Found, Suspect

CONSEQUENCES = frozenset(
    ("cost", "cost_spike", "token_explosion", "overflow", "context_pressure", "latency_spike", "convergence")
)
ANSWERS = frozenset(("derailment", "communication"))
"""Their evidence begins with what was asked; at fault is what came of it, its last piece."""
REPEATS = frozenset(("loop", "repetition", "retry_storm", "escalation_loop"))
SEVERITY = {"info": 0.3, "low": 0.6, "medium": 1.0, "high": 1.3, "critical": 1.6}
FOUND = 3.0
"""What a detection of medium severity weighs that is sure, on the scale of `signs.py`: more than any text hints at."""
SETTLED = 0.65
"""Up to this confidence a finding is grey."""
LENT = 0.5
MOST_SUSPECTS, MOST_REASONS = 3, 4


class Chain(NamedTuple):
    """Detections in causal order, and what each weighs with what follows from it, by id."""

    found: list[Found]
    weights: dict[str, float]

    def primary(self) -> Found | None:
        """Give the one that the others follow from, or that weighs most of several."""
        roots = [found for found in self.found if not found.because]
        return max(roots, key=lambda found: (self.weights[found.id], -found.at_ns, found.id), default=None)


def chain_of(flow: Flow, told: Sequence[Told]) -> Chain:
    """Order the detections that stand, causes before what they explain."""
    begun = sorted(told, key=lambda one: (one.type in CONSEQUENCES, _began_ns(flow, one), one.id))
    because = {one.id: _cause(flow, one, begun[:place]) for place, one in enumerate(begun)}
    weights = {one.id: _weight(one) for one in begun}
    for one in reversed(begun):
        cause = because[one.id]
        if cause is not None:
            weights[cause.id] += LENT * weights[one.id]
    return Chain([_found(flow, one, because[one.id]) for one in begun], weights)


def suspects(flow: Flow, run_id: str, chain: Chain) -> tuple[Suspect, ...]:
    """Give the steps that are most likely at fault, with their shares of the blame."""
    signs = {note.span_id: (note, found) for note, found in Reading(flow).signs()}
    for found in chain.found:
        note, words = _culprit(flow, found)
        if note is not None and not _is_a_drift(found):
            signs.setdefault(note.span_id, (note, []))[1].append(Sign(chain.weights[found.id], words))
    ranked = sorted(signs.values(), key=lambda pair: (-_sum(pair[1]), flow.place(pair[0])))
    most = _sum(ranked[0][1]) if ranked else 0.0
    whole = sum(exp(_sum(found) - most) for _, found in ranked)
    return tuple(
        Suspect(
            note.span(run_id),
            _agent_of(flow, note, chain),
            note.kind,
            note.name,
            note.start_ns,
            round(exp(_sum(found) - most) / whole, 3),
            tuple(_reasons(found)),
        )
        for note, found in ranked[:MOST_SUSPECTS]
    )


def _cause(flow: Flow, effect: Told, earlier: Sequence[Told]) -> Told | None:
    """Find what explains a detection: of those that may have led to it the heaviest, the earliest of equals."""
    at = _place_of(flow, effect.type, [span.span_id for span in effect.spans])
    if at is None:
        return None
    able = []
    for one in earlier:
        note = _place_of(flow, one.type, [span.span_id for span in one.spans])
        if note is not None and one.type not in CONSEQUENCES and flow.leads_to(note, at):
            able.append(one)
    return max(able, key=_weight, default=None)


def _culprit(flow: Flow, found: Found) -> tuple[Note | None, str]:
    """Give the step that is to blame for what was found: of what repeats, the one that first asked for it again."""
    spans = [span.span_id for span in found.spans]
    if found.type in REPEATS and len(spans) > 1:
        again = next((note for span in spans[1:] if (note := flow.find(span)) is not None), None)
        asked = flow.caller(again) if again is not None else None
        if asked is not None:
            return asked, f"it asked for the same again ({found.type})"
    return _place_of(flow, found.type, spans), f"{found.type} began there"


def _is_a_drift(found: Found) -> bool:
    """Say whether a finding is, greyly, that a run left its task: many steps did, and none by itself."""
    return found.type == "derailment" and found.confidence <= SETTLED


def _place_of(flow: Flow, kind: str, spans: Sequence[str]) -> Note | None:
    """Give the step a detection is about: the first of its evidence; of some, where it came to show."""
    ordered = reversed(spans) if kind in CONSEQUENCES or kind in ANSWERS else spans
    return next((note for span in ordered if (note := flow.find(span)) is not None), None)


def _began_ns(flow: Flow, one: Told) -> int:
    note = _place_of(flow, one.type, [span.span_id for span in one.spans])
    return note.start_ns if note is not None else one.at_ns


def _weight(one: Told) -> float:
    return FOUND * one.confidence * SEVERITY.get(one.severity, 1.0)


def _found(flow: Flow, one: Told, cause: Told | None) -> Found:
    return Found(
        one.id,
        one.type,
        one.title,
        one.severity,
        one.confidence,
        one.agent,
        one.spans,
        _began_ns(flow, one),
        cause.id if cause is not None else "",
    )


def _agent_of(flow: Flow, note: Note, chain: Chain) -> str:
    """Say whose a step is; where no span says so, a detection of it may know."""
    named = (found.agent for found in chain.found if any(span.span_id == note.span_id for span in found.spans))
    return flow.agent(note) or next(filter(None, named), "")


def _reasons(found: Sequence[Sign]) -> Iterator[str]:
    """Give what speaks for a step, weightiest first."""
    telling = [sign for sign in found if sign.words and sign.weight > 0]
    for sign in sorted(telling, key=lambda sign: -sign.weight)[:MOST_REASONS]:
        yield sign.words


def _sum(found: Sequence[Sign]) -> float:
    return sum(sign.weight for sign in found)
