"""Compares what the folds of a run say with what was published, and publishes the difference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from collector.bus.protocol import Outgoing
from processors.detector import AnyDetector
from processors.runs.publishing import (
    Subject,
    Versions,
    detection_id,
    detection_outgoing,
    digest,
    escalation_outgoing,
    is_grey,
)
from processors.runs.state import Published, RunState
from processors.runs.thresholds import LEAST, Thresholds
from schemas.detection import CLOSED, WITHDRAWN, Finding
from schemas.metrics import DETECTION_SECONDS, HELD_BACK
from schemas.step import SpanRef


class RunPublisher:
    """Publishes what changed in a run. `versions` is shared by all runs of the group.

    `thresholds` decide whether an episode is told for the first time; one that was told goes on being told whatever
    is set later, so that its readers see how it ends.
    """

    def __init__(
        self, detectors: Sequence[AnyDetector], versions: Versions, thresholds: Thresholds | None = None
    ) -> None:
        self._detectors = detectors
        self._thresholds = Thresholds() if thresholds is None else thresholds
        self._versions = versions

    def changes(self, run: RunState, now_ns: int, detected_ns: int, everything: bool) -> Iterator[Outgoing]:
        """Publish episodes that are new or changed; with `everything` look at all, and withdraw what is gone."""
        touched = run.window.touched
        for number, fold in enumerate(run.window.folds):
            keys = list(fold.episodes) if everything else [key for n, key in touched if n == number]
            gone = self._gone(run, number) if everything else {}
            for key in keys:
                finding = fold.episodes.get(key)
                if finding is not None:
                    replaced = _replaced(finding, gone)
                    yield from self._change(run, number, key, finding, now_ns, detected_ns, replaced)
            for key in gone:
                yield self._withdraw(run, number, key, now_ns, detected_ns)
            self._forget(run, number)
        touched.clear()

    def _gone(self, run: RunState, number: int) -> dict[str, Published]:
        episodes = run.window.folds[number].episodes
        return {key: known for key, known in run.published[number].items() if key not in episodes}

    def _change(
        self,
        run: RunState,
        number: int,
        key: str,
        finding: Finding,
        now_ns: int,
        detected_ns: int,
        replaces: str | None,
    ) -> Iterable[Outgoing]:
        known = run.published[number].get(key)
        crossing = finding.spans[-1].span_id
        agent = run.agent_of(crossing, finding.agent or (known.agent if known else ""))
        subject = self._subject(run, number, agent)
        mark, whose = digest(finding), digest(subject)
        if known is None and not self._is_told(subject, finding):
            return ()
        if known is not None and not _says_more(known, finding, mark, whose):
            return ()
        version = self._versions.next(now_ns, above=known.version if known else 0)
        run.published[number][key] = Published(
            version,
            finding.status,
            finding.stage,
            mark,
            whose,
            detection_id(run.tenant, run.run_id, finding),
            finding.trace_id or finding.first.trace_id,
            crossing,
            agent,
        )
        outputs = [detection_outgoing(subject, finding, version, detected_ns, replaces)]
        if is_grey(finding, is_new=known is None):
            outputs.append(escalation_outgoing(subject, finding, version, detected_ns))
        if known is None:
            DETECTION_SECONDS.labels(detector=subject.processor).observe(max(0, detected_ns - run.last_seen_ns) / 1e9)
        return outputs

    def _is_told(self, subject: Subject, finding: Finding) -> bool:
        """Say whether an episode that was not told yet is worth telling: from its threshold on."""
        least = self._thresholds.least(subject.tenant, finding.type, subject.framework)
        if finding.confidence >= least:
            return True
        if finding.confidence >= LEAST:
            HELD_BACK.labels(type=finding.type).inc()
        return False

    def _withdraw(self, run: RunState, number: int, key: str, now_ns: int, detected_ns: int) -> Outgoing:
        known = run.published[number].pop(key)
        kind, rest = key.split("|", 1)
        fingerprint, first_span = rest.rsplit("|", 1)
        first = SpanRef(known.trace_id, first_span)
        finding = Finding(
            type=kind,
            fingerprint=fingerprint,
            first=first,
            spans=(first, SpanRef(known.trace_id, known.crossing_span)),
            status=WITHDRAWN,
            tier=1,
            confidence=0.0,
            severity="info",
            score=0,
            title=f"{kind}: withdrawn",
            explanation="Spans that came late showed that this was none.",
            evidence={},
            event_time_ns=now_ns,
        )
        version = self._versions.next(now_ns, above=known.version)
        return detection_outgoing(self._subject(run, number, known.agent), finding, version, detected_ns)

    def _subject(self, run: RunState, number: int, agent: str) -> Subject:
        detector, facts = self._detectors[number], run.facts
        return Subject(
            run.tenant,
            run.run_id,
            facts.service[1] if facts.service else "",
            agent,
            facts.framework[1] if facts.framework else "",
            facts.conversation_id[1] if facts.conversation_id else "",
            detector.name,
            detector.version,
        )

    @staticmethod
    def _forget(run: RunState, number: int) -> None:
        """Forget what was published of episodes that the fold has forgotten, so that both stay bounded together."""
        episodes = run.window.folds[number].episodes
        if len(run.published[number]) > len(episodes):
            run.published[number] = {key: known for key, known in run.published[number].items() if key in episodes}


def _says_more(known: Published, finding: Finding, mark: int, whose: int) -> bool:
    if known.whose != whose:
        return True
    if known.digest == mark:
        return False
    return finding.status != known.status or finding.status == CLOSED or finding.stage > known.stage


def _replaced(finding: Finding, gone: dict[str, Published]) -> str | None:
    """Name the withdrawn detection that this one stands for: the same thing with another beginning."""
    same = f"{finding.type}|{finding.fingerprint}|"
    return next((known.detection_id for key, known in gone.items() if key.startswith(same)), None)


def close_all(run: RunState) -> None:
    """End every fold of a run."""
    for fold in run.window.folds:
        if not fold.broken:
            fold.finish()


def attribute(run: RunState, span_id: str, agent: str) -> None:
    """Give an agent's name to episodes whose crossing span left the window before the name was known."""
    if not any(run.published):
        return
    run.window.show()
    for number, published in enumerate(run.published):
        episodes = run.window.folds[number].episodes
        for key, known in published.items():
            if known.crossing_span == span_id and known.agent != agent and key in episodes:
                run.window.folds[number].attribute(key, agent)
                run.window.touched.add((number, key))
