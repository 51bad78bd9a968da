"""What is told of a broken state: the finding, in words, with its evidence and the fix it suggests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from processors.detector import At
from processors.states.changes import SHOWN
from processors.states.paths import kind_of
from processors.states.rules import Change
from processors.states.streams import StateItem, Stream
from schemas.canonical import content_hash
from schemas.detection import OPEN, Finding, Fix
from schemas.keys import join_key

VALUE_CHARS = 80
LEAST_SURE = 0.66
"""Of 17 that were told in labelled runs all were right (95 % sure of 82 %), 9 of which summed up to less than this."""
SEVERITY = (("critical", 0.95, 85), ("high", 0.8, 72), ("medium", 0.6, 55), ("low", 0.0, 35))


def corruption_finding(stream: Stream, item: StateItem, at: At, found: Sequence[Change], sure: float) -> Finding:
    """Tell what broke, from the last sound state to the one that broke."""
    ranked = sorted(found, key=lambda change: (-change.confidence, change.path, change.kind))
    worst = ranked[0]
    severity, _, score = next(row for row in SEVERITY if sure >= row[1])
    more = f" and {len(ranked) - 1} more" if len(ranked) > 1 else ""
    return Finding(
        type="corruption",
        fingerprint=content_hash(join_key(worst.kind, worst.path).encode()),
        first=stream.span,
        spans=(stream.span, at.span) if stream.span != at.span else (at.span,),
        status=OPEN,
        tier=2,
        confidence=round(max(sure, LEAST_SURE), 3),
        severity=severity,
        score=score,
        title=f"{{agent}} left a broken state: {worst.path} {worst.kind.replace('_', ' ')}{more}",
        explanation=_explanation(ranked, stream),
        evidence={
            "changes": [_shown(change) for change in ranked[:SHOWN]],
            "state_before": stream.state_hash,
            "state_after": item.state_hash,
            "observations": stream.seen,
        },
        event_time_ns=at.start_ns,
        fix=_fix(ranked),
        agent=at.agent,
    )


def _explanation(ranked: Sequence[Change], stream: Stream) -> str:
    told = "; ".join(
        f"{change.path}: {change.kind.replace('_', ' ')} ({_short(change.before)} -> {_short(change.after)})"
        for change in ranked[:3]
    )
    return f"After {stream.seen} sound observations {{agent}} passed on a state in which {told}; nothing explains it."


def _shown(change: Change) -> dict[str, Any]:
    return {
        "path": change.path,
        "kind": change.kind,
        "before": _short(change.before),
        "after": _short(change.after),
        "confidence": change.confidence,
    }


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return text if len(text) <= VALUE_CHARS else text[:VALUE_CHARS] + "..."


JSON_TYPES = {"text": "string", "number": "number", "bool": "boolean", "list": "array", "map": "object"}


def _fix(ranked: Sequence[Change]) -> Fix:
    """Suggest to check the state against what it was before it is passed on."""
    keys = list(dict.fromkeys(change.path for change in ranked if change.kind in ("lost", "nulled")))[:SHOWN]
    types = {
        change.path: JSON_TYPES[kind_of(change.before)]
        for change in ranked
        if change.kind == "type" and kind_of(change.before) in JSON_TYPES
    }
    parameters: dict[str, Any] = {}
    if keys:
        parameters["keys"] = keys
    if types:
        parameters["types"] = dict(list(types.items())[:SHOWN])
    return Fix(
        "state_validation", "Check the state before it is passed on, and go back to the last sound one.", parameters
    )
