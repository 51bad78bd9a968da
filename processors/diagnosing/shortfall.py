"""A run that visibly did not do what it was asked, as a finding: people look at detections, and alerts hang on them.

Its episode is the whole run, so a run has one at most, whatever is blamed for it in the end.
"""

from __future__ import annotations

from collections.abc import Sequence

from collector.bus.protocol import Outgoing
from processors.diagnosing.run_log import Shortfall
from processors.diagnosing.told import TELLER
from processors.runs.publishing import Subject, detection_outgoing, digest
from processors.runs.thresholds import Thresholds
from schemas.detection import CLOSED, WITHDRAWN, Finding
from schemas.metrics import HELD_BACK
from schemas.run_summary import FAILED, GAVE_UP, UNANSWERED, Diagnosis, RunSummary
from schemas.step import SpanRef

COMPLETION = "completion"
CONFIDENCE = {FAILED: 0.95, UNANSWERED: 0.7, GAVE_UP: 0.55}
"""An error that a span records is a fact, an answer that nobody captured may have been given. Of runs that say they
could not do what was asked about half had been expected to (`processors/README.md`)."""
SEVERITY = {FAILED: ("high", 70), UNANSWERED: ("medium", 50), GAVE_UP: ("medium", 45)}
WORDS = {
    FAILED: "the run failed",
    UNANSWERED: "the run ended without an answer",
    GAVE_UP: "the run ended by saying that it could not do what was asked",
}
TITLE_CHARACTERS = 240
VERSION, WHOLE = "1", "run"


class ShortfallTeller:
    """Publishes what changed of a run's falling short. `thresholds` decide whether it is told for the first time."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds

    def tell(
        self, summary: RunSummary, known: Shortfall | None, now_ns: int
    ) -> tuple[Shortfall | None, Sequence[Outgoing]]:
        """Compare what a summary says with what was told; gives what then is told, and what to publish."""
        finding = shortfall_of(summary)
        if finding is None:
            return None, () if known is None else (self._withdrawal(summary, known, now_ns),)
        subject = _subject(summary, finding.agent)
        if known is None and finding.confidence < self._thresholds.least(
            summary.tenant, finding.type, summary.framework
        ):
            HELD_BACK.labels(type=finding.type).inc()
            return None, ()
        mark = digest(finding) ^ digest(subject)
        if known is not None and known.digest == mark:
            return known, ()
        told = Shortfall(_version(known, now_ns), mark, finding.spans[0], finding.agent)
        return told, (detection_outgoing(subject, finding, told.version, now_ns),)

    @staticmethod
    def _withdrawal(summary: RunSummary, known: Shortfall, now_ns: int) -> Outgoing:
        finding = Finding(
            type=COMPLETION,
            fingerprint=WHOLE,
            first=SpanRef(known.span.trace_id, ""),
            spans=(known.span,),
            status=WITHDRAWN,
            tier=1,
            confidence=0.0,
            severity="info",
            score=0,
            title=f"{COMPLETION}: withdrawn",
            explanation="What came later showed that the run did end with an answer, or goes on.",
            evidence={"outcome": summary.outcome},
            event_time_ns=summary.ended_ns,
        )
        return detection_outgoing(_subject(summary, known.agent), finding, _version(known, now_ns), now_ns)


def shortfall_of(summary: RunSummary) -> Finding | None:
    """Tell that a run fell short, with who and which step is blamed; None where it did not, as far as that shows."""
    if summary.outcome not in CONFIDENCE or not summary.diagnosis.suspects:
        return None
    diagnosis, fault = summary.diagnosis, summary.diagnosis.suspects[0]
    severity, score = SEVERITY[summary.outcome]
    return Finding(
        type=COMPLETION,
        fingerprint=WHOLE,
        first=SpanRef(summary.trace_id, ""),
        spans=(fault.span,),
        status=CLOSED,
        tier=1,
        confidence=CONFIDENCE[summary.outcome],
        severity=severity,
        score=score,
        title=_title(summary.outcome, diagnosis),
        explanation=diagnosis.text,
        evidence={"outcome": summary.outcome, "share_of_blame": fault.share, "primary": diagnosis.primary or None},
        event_time_ns=summary.ended_ns,
        agent=fault.agent,
        trace_id=fault.span.trace_id,
    )


def _title(outcome: str, diagnosis: Diagnosis) -> str:
    """Say how the run ended, and what went wrong first where anything else is known."""
    words = WORDS[outcome]
    because = diagnosis.title.removeprefix("failed: ") if diagnosis.primary or outcome == FAILED else ""
    return f"{words}: {because}"[:TITLE_CHARACTERS] if because not in ("", "failed") else words


def _subject(summary: RunSummary, agent: str) -> Subject:
    whose = (summary.service, agent, summary.framework, summary.conversation_id)
    return Subject(summary.tenant, summary.run_id, *whose, TELLER, VERSION)


def _version(known: Shortfall | None, now_ns: int) -> int:
    """Give a version above all before it: milliseconds of bus time, or one more than the last."""
    return max(now_ns // 1_000_000, known.version + 1 if known is not None else 0)
