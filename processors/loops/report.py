"""The words in which a loop is told: title, explanation, evidence, and the fix that would have stopped it."""

from __future__ import annotations

from typing import Any

from processors.loops.cycles import Seen
from processors.loops.episodes import EXACT, NAMES, NEAR, OUTCOME, TALK, TOOL, WORDING, Episode
from schemas.detection import OPEN, Finding, Fix
from schemas.step import SpanRef

MAX_REPEATS = 3
_TIER = {EXACT: 1, NEAR: 2, WORDING: 2, NAMES: 1, OUTCOME: 1}
_HOW = {
    EXACT: "with the same arguments",
    NEAR: "with arguments that differ only in what does not matter",
    WORDING: "for the same thing in other words",
    NAMES: "in a row",
    OUTCOME: "with the same outcome whatever it asked",
}
_OUTCOME = {
    EXACT: "Each round brought the same.",
    NEAR: "Each round brought the same, but for times and ids.",
    WORDING: "Nothing new came of any of them.",
    OUTCOME: "Each brought what the one before had brought.",
    NAMES: "Contents were not captured: names, sizes and timing are all there is to go by.",
}


def report(episode: Episode, trace: str) -> Finding:
    """Tell an episode as it stands; `trace` is the run's first, which its spans leave out."""
    score = episode.score()
    return Finding(
        type="loop",
        fingerprint=episode.fingerprint(),
        first=_ref(episode.first, trace),
        spans=_spans(episode, trace),
        status=episode.status,
        tier=_TIER[episode.match],
        confidence=round(episode.confidence(), 4),
        severity=_severity(score),
        score=score,
        title=_title(episode),
        explanation=_explanation(episode),
        evidence=_evidence(episode, trace),
        event_time_ns=episode.crossed_ns,
        fix=_fix(episode),
        stage=episode.told,
    )


def _severity(score: int) -> str:
    if score >= 85:
        return "critical"
    return "high" if score >= 70 else "medium" if score >= 55 else "low"


def _ref(seen: Seen, trace: str) -> SpanRef:
    return SpanRef(seen.trace or trace, seen.span)


def _spans(episode: Episode, trace: str) -> tuple[SpanRef, ...]:
    inner = [SpanRef(other or trace, span) for span, other in episode.between]
    return (_ref(episode.first, trace), *inner, _ref(episode.crossing, trace))


def _title(episode: Episode) -> str:
    count, names = episode.repetitions, " → ".join(episode.names).replace("{", "(")
    if episode.about == TALK:
        if episode.period > 1:
            return f"The same {episode.period} messages went back and forth {count} times"
        return f"{{agent}} said the same {count} times" + (" in other words" if episode.match == WORDING else "")
    if episode.period > 1:
        return f"{{agent}} went round {names} {count} times {_HOW[episode.match]}"
    return f"{{agent}} called {names} {count} times {_HOW[episode.match]}"


def _explanation(episode: Episode) -> str:
    outcome = _OUTCOME[episode.match]
    if episode.failed:
        outcome = "It failed the same way each time."
    elif episode.unseen and episode.match in (EXACT, NEAR):
        outcome = "What came of it was not captured."
    spent = f"{episode.seconds} s and {episode.tokens} tokens have passed since the first of them."
    now = "It goes on." if episode.status == OPEN else "It is over."
    return f"{_title(episode)}. {outcome} {spent} {now}"


def _evidence(episode: Episode, trace: str) -> dict[str, Any]:
    return {
        "repetitions": episode.repetitions,
        "period": episode.period,
        "first_index": episode.first.index,
        "last_index": episode.last.index,
        "last_span": {"trace_id": episode.last.trace or trace, "span_id": episode.last.span},
        "match": episode.match,
        "about": episode.about,
        "tools" if episode.about == TOOL else "speakers": episode.names,
        "preview": episode.preview,
        "failing": episode.failed,
        "tokens": episode.tokens,
        "seconds": episode.seconds,
    }


def _fix(episode: Episode) -> Fix:
    if episode.about == TALK or not episode.names:
        told = f"Stop, or ask for another way, after {MAX_REPEATS} equal messages in a row."
        return Fix("loop_breaker", told, {"max_repeats": MAX_REPEATS})
    tool = episode.names[0]
    parameters = {"tool": tool, "max_repeats": MAX_REPEATS}
    if episode.failed:
        return Fix("retry_limit", f"Refuse {tool} after {MAX_REPEATS} equal failures in a row.", parameters)
    return Fix("circuit_breaker", f"Refuse {tool} after {MAX_REPEATS} equal calls in a row.", parameters)
