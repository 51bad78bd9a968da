"""Finds states that break from one observation to the next (type `corruption`).

Consecutive states of the same shape are compared, whoever carries them, since a shared state is handed from agent
to agent. What a path has shown so far says what is usual for it: volatile ones are ignored, relations between fields
are learned, and a record that is replaced as a whole is the next record, not a broken one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from processors.detector import At, Detector, DetectorConfig
from processors.states.changes import HINTS_CAP, combined, disorder, explained_away, restored, words_in, wrong_in
from processors.states.paths import kind_of, read_state
from processors.states.relations import holds
from processors.states.report import corruption_finding
from processors.states.rules import Change, implausible
from processors.states.streams import (
    RELATION_HELD,
    Broken,
    StateItem,
    States,
    Stream,
    begun,
    is_replaced,
    stream_of,
    take_in,
)
from schemas.detection import CLOSED, Finding
from schemas.step import Step

STREAMS_CAP = 6


class StateConfig(DetectorConfig):
    """Settings of the detector."""

    min_confidence: float = 0.5
    """Combined confidence below which nothing is reported."""


class StateDelta(Detector[StateConfig, StateItem, States]):
    """States that break from one step to the next: types, lost keys, regressions, contradictions."""

    name = "state_delta"
    Config = StateConfig
    Item = StateItem
    State = States

    def project(self, step: Step) -> StateItem | None:
        """Keep a state that is whole, and of other steps the words that may explain the next change."""
        words = words_in(step)
        if step.state and len(step.state) >= step.state_size:
            return StateItem(step.state, step.state_hash, words)
        return StateItem(words=words) if words else None

    def begin(self) -> States:
        """Start with nothing seen."""
        return States()

    def observe(self, state: States, at: At, item: StateItem) -> Sequence[Finding]:
        """Compare a state with the last one of its shape."""
        state.words = [*state.words, *item.words][-4 * HINTS_CAP :]
        if not item.state:
            return ()
        flat = read_state(item.state)
        if not flat:
            return ()
        stream = stream_of(state.streams, flat)
        heard, state.words = set(state.words), []
        state.at += 1
        if stream is None:
            stream = begun(item, at, flat)
            state.streams = [*state.streams, stream][-STREAMS_CAP:]
            return self._report(stream, item, at, [*implausible(flat), *disorder(flat)], {})
        state.streams = [*(one for one in state.streams if one is not stream), stream]
        return self._compare(stream, item, at, flat, heard)

    def _compare(
        self, stream: Stream, item: StateItem, at: At, flat: Mapping[str, Any], heard: set[int]
    ) -> Sequence[Finding]:
        before = read_state(stream.state)
        replaced = is_replaced(before, flat, stream)
        back = restored(stream.broken, before, flat)
        wrong = [] if replaced else [change for change in wrong_in(before, flat, stream) if change.path not in back]
        found = explained_away(wrong, heard)
        mended = self._mended(stream, at, flat)
        findings = [*mended, *self._report(stream, item, at, found, before)]
        doubted = {change.path for change in found} if len(findings) > len(mended) else set()
        take_in(stream, item, at, flat, doubted, replaced)
        return findings

    def _report(
        self, stream: Stream, item: StateItem, at: At, found: Sequence[Change], before: Mapping[str, Any]
    ) -> Sequence[Finding]:
        """Report what is wrong where that is sure enough together, and remember the episode."""
        sure = combined(found)
        if sure < self.config.min_confidence:
            return ()
        finding = corruption_finding(stream, item, at, found, sure)
        kinds = {change.path: kind_of(before[change.path]) for change in found if change.path in before}
        stream.broken = Broken(finding, list(kinds), kinds)
        return [finding]

    @staticmethod
    def _mended(stream: Stream, at: At, flat: Mapping[str, Any]) -> Sequence[Finding]:
        """Close the episode once every field that broke is of its old kind again and relations hold."""
        broken = stream.broken
        if broken is None or not broken.before:
            return ()
        if any(path not in flat or kind_of(flat[path]) != kind for path, kind in broken.before.items()):
            return ()
        if any(holds(relation, flat) is False for relation, held in stream.relations.items() if held >= RELATION_HELD):
            return ()
        if flat == read_state(stream.state) or broken.finding.spans[-1] == at.span:
            return ()
        stream.broken = None
        return [msgspec.structs.replace(broken.finding, status=CLOSED)]
