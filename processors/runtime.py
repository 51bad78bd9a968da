"""The stream runtime: reads steps, keeps each run's window, shows it to the detectors, publishes what they find.

One runtime is one consumer group with any number of detectors. Its state is owned by the thread that calls `handle`.
A run ends when it has been quiet for long enough; until then a late or revised step may change what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from collector.bus.dead_letters import dead_letter
from collector.bus.protocol import Batch, Handled, Outgoing, Record, State, StateChange
from processors.detector import AnyDetector
from processors.runs import keyed_state
from processors.runs.fold import FoldCodec
from processors.runs.keyed_state import KeyedState
from processors.runs.publisher import RunPublisher, attribute, close_all
from processors.runs.publishing import Versions
from processors.runs.state import RunState
from processors.runs.thresholds import Thresholds
from processors.runs.window import Entry
from schemas.keys import join_key
from schemas.metrics import DETECTOR_ERRORS, LATE_STEPS, STAGE_RECORDS
from schemas.step import Step
from schemas.steps_codec import UnknownStepSchema, decode_steps
from schemas.topics import AGENT_STEPS

SECOND = 1_000_000_000
DUE_AT_ONCE = 200
TOGETHER = 64
"""Steps that are shown to one detector after the other: the texts of so many stay remembered (`loops/masking.py`)."""

Biller = Callable[[Step, bytes], tuple[bytes, Sequence[Outgoing]]]
"""From a step and what was billed for it before (empty: nothing) to what is billed now and the `usage` records."""


class Taken(NamedTuple):
    """A step of a batch, what each detector remembers of it, and when its record was appended (bus time)."""

    step: Step
    items: tuple[Any, ...]
    record: Record


def projected(detectors: Sequence[AnyDetector], steps: Sequence[Step]) -> Iterator[tuple[Any, ...]]:
    """Give what each detector remembers of each step; a step costs those detectors only that read its kind.

    It goes from detector to detector, not from step to step: shown and read so, a step costs all of them together
    28 µs where it cost 50 (`python -m tests.benchmarks detectors`), we think since one's code stays in the cache.
    Not over a whole batch, though: what one has masked or taken apart the next finds remembered.
    """
    readers = [(frozenset(detector.kinds), detector.project) for detector in detectors]
    for start in range(0, len(steps), TOGETHER):
        some = steps[start : start + TOGETHER]
        columns = [
            [project(step) if step.kind in kinds and not step.retracted else None for step in some]
            for kinds, project in readers
        ]
        yield from zip(*columns, strict=True)


class Runtime:
    """A stage that runs detectors over `agent_steps`."""

    topics: Sequence[str] = (AGENT_STEPS,)

    def __init__(
        self,
        group: str,
        detectors: Sequence[AnyDetector],
        clock_ns: Callable[[], int],
        bill: Biller | None = None,
        run_idle_seconds: float = 300,
        run_abandon_seconds: float = 3600,
        lateness_seconds: float = 60,
        lateness_steps: int = 1000,
        max_runs: int = 200_000,
        in_memory_bytes: int = keyed_state.IN_MEMORY_BYTES,
        thresholds: Thresholds | None = None,
    ) -> None:
        self.group = group
        self._detectors = detectors
        self._clock_ns = clock_ns
        self._bill = bill
        self._idle_ns = int(run_idle_seconds * SECOND)
        self._abandon_ns = int(run_abandon_seconds * SECOND)
        self._lateness_ns = int(lateness_seconds * SECOND)
        self._lateness_steps = lateness_steps
        self._max_runs = max_runs
        self._runs = KeyedState(group, [FoldCodec(detector) for detector in detectors], in_memory_bytes)
        self._publisher = RunPublisher(detectors, Versions(), thresholds)

    def restore(self, state: State) -> None:
        """Start from the committed state."""
        self._runs.forget(state)

    def handle(self, batch: Batch, state: State) -> Handled:
        """Take in the steps of a batch, then look at the runs whose time has come."""
        outputs: list[Outgoing] = []
        changes: list[StateChange] = []
        touched: dict[str, RunState] = {}
        for (tenant, run_id), steps in self._by_run(batch.records, outputs).items():
            run = self._runs.get(tenant, run_id, state)
            outputs += self._take_in(run, steps, batch)
            touched[join_key(tenant, run_id)] = run
            changes += self._runs.save(run, self._due(run))
        for key in state.due(keyed_state.STORE, batch.now_ns, DUE_AT_ONCE):
            self._wake(key, state, batch, touched, outputs, changes)
        self._enforce_cap(state, batch, outputs, changes)
        self._runs.trim()
        self._runs.show()
        return Handled(outputs, changes)

    # --- steps ---

    def _by_run(self, records: Sequence[Record], outputs: list[Outgoing]) -> dict[tuple[str, str], list[Taken]]:
        STAGE_RECORDS.labels(stage=self.group).inc(len(records))
        steps: list[Step] = []
        come_with: list[Record] = []
        for record in records:
            try:
                decoded = decode_steps(record.value)
            except (msgspec.DecodeError, UnknownStepSchema) as error:
                outputs.append(dead_letter(record, error, self.group))
                continue
            steps += decoded
            come_with += [record] * len(decoded)
        grouped: dict[tuple[str, str], list[Taken]] = {}
        for taken in map(Taken, steps, projected(self._detectors, steps), come_with):
            grouped.setdefault((taken.step.tenant, taken.step.run_id), []).append(taken)
        return grouped

    def _take_in(self, run: RunState, steps: list[Taken], batch: Batch) -> Iterable[Outgoing]:
        outputs: list[Outgoing] = []
        steps.sort(key=_place_in_run)
        learned = False
        for taken in steps:
            step, seen_ns = taken.step, taken.record.append_ns
            learned = run.facts.learn(step) or learned
            run.root_ended = run.root_ended or step.is_root
            run.last_seen_ns = max(run.last_seen_ns, seen_ns)
            outputs += self._place(run, taken, seen_ns)
        replayed = run.window.settle(self._lateness_steps)
        outputs += self._report_failures(run, steps)
        outputs += self._publisher.changes(run, batch.now_ns, self._clock_ns(), everything=replayed or learned)
        return outputs

    def _place(self, run: RunState, taken: Taken, seen_ns: int) -> Sequence[Outgoing]:
        """Put one step into the window: new, revised, retracted, or too late."""
        window, step, items = run.window, taken.step, taken.items
        old = window.by_span.get(step.span_id)
        billed, outputs = self._billed(run, step, old)
        if step.retracted:
            if old is not None:
                window.remove(old)
            return outputs
        if old is None and not billed and items.count(None) == len(items):
            return outputs
        entry = self._entry(step, items, old.seen_ns if old else seen_ns, billed)
        if old is not None:
            window.replace(old, entry)
        elif self._is_late(run, step, seen_ns) or not window.insert(entry):
            self._too_late(run, step)
        if old is not None and old.agent != step.agent:
            attribute(run, step.span_id, step.agent)
        return outputs

    def _billed(self, run: RunState, step: Step, old: Entry | None) -> tuple[bytes, Sequence[Outgoing]]:
        """Bill a step once: what was billed for a step that has left the window is no longer known, so it stands."""
        if self._bill is None or (old is None and step.revision > 0 and run.window.has_left(step.order)):
            return b"", ()
        return self._bill(step, old.billed if old else b"")

    def _entry(self, step: Step, items: tuple[Any, ...], seen_ns: int, billed: bytes) -> Entry:
        trace_id = "" if step.trace_id == step.run_id else step.trace_id
        return Entry(step.start_ns, step.end_ns, step.span_id, trace_id, seen_ns, step.agent, items, billed)

    def _is_late(self, run: RunState, step: Step, seen_ns: int) -> bool:
        """Say whether the run went on past this step's end longer ago than lateness allows."""
        entries, earliest_ns = run.window.entries, run.window.earliest_ns
        if not entries or step.end_ns >= entries[-1].end_ns:
            return False
        if earliest_ns is not None and seen_ns - earliest_ns <= self._lateness_ns:
            return False  # nothing in the window is that old, so there is nothing to look for
        passed = run.window.seen_past(step.end_ns)
        return passed is not None and seen_ns - passed > self._lateness_ns

    def _too_late(self, run: RunState, step: Step) -> None:
        LATE_STEPS.labels(processor=self.group).inc()
        if step.agent:
            attribute(run, step.span_id, step.agent)

    def _report_failures(self, run: RunState, steps: list[Taken]) -> Iterable[Outgoing]:
        """Count what detectors raised and dead-letter the record it happened with."""
        failures, run.window.failures = run.window.failures, []
        for failure in failures:
            cause = failure.__cause__ or failure
            DETECTOR_ERRORS.labels(detector=failure.detector, error=type(cause).__name__).inc()
            yield dead_letter(steps[-1].record, failure, self.group)

    # --- time ---

    def _due(self, run: RunState) -> int:
        """Say when to look at a run again: its end, or a detector's deadline before that."""
        ends = run.last_seen_ns + (self._idle_ns if run.root_ended else self._abandon_ns)
        deadlines = (fold.detector.deadline(fold.state) for fold in run.window.folds if not fold.broken)
        return min([ends, *(deadline for deadline in deadlines if deadline is not None)])

    def _wake(
        self,
        key: str,
        state: State,
        batch: Batch,
        touched: dict[str, RunState],
        outputs: list[Outgoing],
        changes: list[StateChange],
    ) -> None:
        if key in touched:
            return  # its due time has just moved on
        run = self._runs.load(key, state)
        if run is None:
            changes += self._runs.erase(key, state)
        elif self._has_ended(run, batch.now_ns):
            reason = keyed_state.ENDED if run.root_ended else keyed_state.ABANDONED
            self._end(run, reason, batch, state, outputs, changes)
        else:
            self._deadlines(run, batch.now_ns)
            outputs += self._publisher.changes(run, batch.now_ns, self._clock_ns(), everything=False)
            changes += self._runs.save(run, max(self._due(run), batch.now_ns + 1))

    def _has_ended(self, run: RunState, now_ns: int) -> bool:
        return now_ns >= run.last_seen_ns + (self._idle_ns if run.root_ended else self._abandon_ns)

    def _deadlines(self, run: RunState, now_ns: int) -> None:
        for number, fold in enumerate(run.window.folds):
            due = None if fold.broken else fold.detector.deadline(fold.state)
            if due is not None and due <= now_ns:
                run.window.wake(number, now_ns)

    def _end(
        self,
        run: RunState,
        reason: str,
        batch: Batch,
        state: State,
        outputs: list[Outgoing],
        changes: list[StateChange],
    ) -> None:
        close_all(run)
        outputs += self._publisher.changes(run, batch.now_ns, self._clock_ns(), everything=True)
        changes += self._runs.drop(run, reason, state)

    def _enforce_cap(self, state: State, batch: Batch, outputs: list[Outgoing], changes: list[StateChange]) -> None:
        """Let the runs go that would end first while there are more than the cap."""
        excess = self._runs.live - self._max_runs
        if excess <= 0:
            return
        fresh = {change.key for change in changes}
        for key in state.due(keyed_state.STORE, 2**62, excess):
            run = None if key in fresh else self._runs.load(key, state)
            if run is not None:
                self._end(run, keyed_state.CAP, batch, state, outputs, changes)


def _place_in_run(taken: Taken) -> tuple[int, str, int]:
    step = taken.step
    return (step.start_ns, step.span_id, step.revision)
