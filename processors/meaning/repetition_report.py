"""The words in which a repetition is told."""

from __future__ import annotations

from processors.meaning.repetition_rows import Place, Row, is_saying
from schemas.canonical import content_hash
from schemas.detection import OPEN, Finding, Fix
from schemas.step import SpanRef

MAX_REPEATS = 3
TIER = 3


def report(row: Row, trace: str) -> Finding:
    """Tell a row that was too long as it stands; `trace` is the run's first, which places leave out."""
    crossing = row.crossing or row.last
    score = min(90, 40 + 6 * (row.count - MAX_REPEATS) + (10 if row.barren >= row.count - 1 else 0))
    title = _title(row)
    return Finding(
        type="repetition",
        fingerprint=content_hash(f"{row.sort}/{row.name}/{row.first.span}".encode()),
        first=_ref(row.first, trace),
        spans=_spans(row, crossing, trace),
        status=row.status,
        tier=TIER,
        confidence=round(row.confidence(), 4),
        severity="high" if score >= 70 else "medium" if score >= 52 else "low",
        score=score,
        title=title,
        explanation=_explanation(row, title),
        evidence={
            "repetitions": row.count,
            "reworded": row.reworded,
            "without_result": row.barren,
            "about": "saying" if is_saying(row) else "call",
            "tool": row.name,
            "preview": row.preview,
            "first_index": row.first.index,
            "last_index": row.last.index,
        },
        event_time_ns=crossing.start_ns,
        fix=_fix(row),
        stage=row.told,
    )


def _title(row: Row) -> str:
    if is_saying(row):
        return f"{{agent}} said the same {row.count} times in other words, and nothing came of it"
    return f"{{agent}} asked {row.name.replace('{', '(')} for the same {row.count} times in other words"


def _explanation(row: Row, title: str) -> str:
    outcome = "Nothing came of any of them." if row.barren >= row.count - 1 else "What came of them was the same."
    seconds = max(0, row.last.start_ms - row.first.start_ms) // 1000
    now = "It goes on." if row.status == OPEN else "It is over."
    return f"{title}. {outcome} {seconds} s have passed since the first of them. {now}"


def _spans(row: Row, crossing: Place, trace: str) -> tuple[SpanRef, ...]:
    inner = (place for place in row.spans if row.first.index < place.index < crossing.index)
    return (_ref(row.first, trace), *(_ref(place, trace) for place in inner), _ref(crossing, trace))


def _ref(place: Place, trace: str) -> SpanRef:
    return SpanRef(place.trace or trace, place.span)


def _fix(row: Row) -> Fix:
    if is_saying(row):
        told = f"Stop, or ask for another way, after {MAX_REPEATS} messages about the same with nothing new between."
        return Fix("loop_breaker", told, {"max_repeats": MAX_REPEATS})
    return Fix(
        "circuit_breaker",
        f"Refuse {row.name} after {MAX_REPEATS} calls about the same with no new result.",
        {"tool": row.name, "max_repeats": MAX_REPEATS},
    )
