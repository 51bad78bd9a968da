"""The run tracker: a stage that follows runs to their end and publishes one summary of each, with its diagnosis.

It reads steps and detections. While a run goes on a step costs it a note (`diagnosing/notes.py`) and nothing is
decided; once the run has been quiet for as long as ends it, all of it is put together and diagnosed. A detection that
is told, withdrawn or judged afterwards, and a step that comes after all, lead to a new version of the same summary.
Where a run visibly did not do what it was asked, that is a detection as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import xxhash

from collector.bus.dead_letters import dead_letter
from collector.bus.protocol import Batch, Handled, Outgoing, Record, State, StateChange
from processors.detector import DetectorConfig, ModelCatalogue
from processors.diagnosing.case import Case
from processors.diagnosing.notes import note_of
from processors.diagnosing.run_log import ENDED, LIVE, Head, RunLog
from processors.diagnosing.shortfall import ShortfallTeller
from processors.diagnosing.summing import summary_of
from processors.diagnosing.told import TELLER, Telling, Told, read_told
from processors.runs.thresholds import Thresholds
from schemas.keys import join_key, split_key
from schemas.metrics import (
    CACHE_EVICTED,
    LATE_STEPS,
    LIVE_RUNS,
    RUN_SUMMARIES_TOLD,
    RUNS_EVICTED,
    STAGE_RECORDS,
    GaugePart,
)
from schemas.run_summary import RunSummary, encode_summary
from schemas.step import Step
from schemas.steps_codec import UnknownStepSchema, decode_steps
from schemas.timestamps import SECOND_NS
from schemas.topics import AGENT_STEPS, DETECTIONS, RUN_SUMMARIES, TENANT_HEADER

RUN_TRACKER = TELLER
SETTLE_NS = 5 * SECOND_NS
"""How long after a run's end, or after a detection of one that has ended, more is waited for: detectors close what
they found at the same moment."""
REMEMBERED_NS = 86_400 * SECOND_NS
MOST_ENDED = 10_000
"""Runs that are over and may be told again, of one task: for a day, and so many."""
MARGIN = 64
"""Steps that are kept one by one beyond those that may still come late."""
DUE_AT_ONCE = 100
LATEST_NS = 2**62
FINISHED, ABANDONED, CAP, EMPTY = "ended", "abandoned", "cap", "no_steps"


class RunTrackerSettings(DetectorConfig):
    """Sums each run up once it has ended, and says who and which step is at fault for what went wrong."""


@dataclass
class _Came:
    """What a batch brings of one run. `seen_ns` is when its last step was appended."""

    steps: list[Step] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    seen_ns: int = 0


@dataclass
class _Work:
    """One batch's work: bus time, the committed state, what is to be published and changed, and whose row is new."""

    now_ns: int
    state: State
    outputs: list[Outgoing] = field(default_factory=list)
    changes: list[StateChange] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)


class RunTracker:
    """A stage over `agent_steps` and `detections`. `lateness_steps`: how far behind its run a step may come."""

    group = RUN_TRACKER
    topics: Sequence[str] = (AGENT_STEPS, DETECTIONS)

    def __init__(
        self,
        models: ModelCatalogue,
        memory_bytes: int,
        run_idle_seconds: float = 300,
        run_abandon_seconds: float = 3600,
        lateness_steps: int = 1000,
        max_runs: int = 200_000,
        most_ended: int = MOST_ENDED,
        thresholds: Thresholds | None = None,
    ) -> None:
        self._models = models
        self._idle_ns = int(run_idle_seconds * SECOND_NS)
        self._abandon_ns = int(run_abandon_seconds * SECOND_NS)
        self._runs = RunLog(memory_bytes, lateness_steps + MARGIN)
        self._max_runs, self._most_ended = max_runs, most_ended
        self._shortfalls = ShortfallTeller(Thresholds() if thresholds is None else thresholds)
        self._live_shown = GaugePart(LIVE_RUNS.labels(processor=self.group))

    def restore(self, state: State) -> None:
        """Start from the committed state."""
        self._runs.restore(state)

    def handle(self, batch: Batch, state: State) -> Handled:
        """Take in a batch, then look at the runs whose time has come."""
        work = _Work(batch.now_ns, state)
        STAGE_RECORDS.labels(stage=self.group).inc(len(batch.records))
        for (tenant, run_id), came in self._by_run(batch.records, work).items():
            self._take_in(self._runs.open(tenant, run_id, state), came, work)
        for store in (LIVE, ENDED):
            for key in state.due(store, batch.now_ns, DUE_AT_ONCE):
                self._wake(key, work)
        self._enforce_caps(work)
        self._runs.trim()
        self._live_shown.set(self._runs.live)
        return Handled(work.outputs, work.changes)

    # --- what comes in ---

    def _by_run(self, records: Sequence[Record], work: _Work) -> Mapping[tuple[str, str], _Came]:
        runs: defaultdict[tuple[str, str], _Came] = defaultdict(_Came)
        for record in records:
            if record.topic == AGENT_STEPS:
                for step in self._steps(record, work):
                    came = runs[step.tenant, step.run_id]
                    came.steps.append(step)
                    came.seen_ns = record.append_ns
            elif (told := _told(record)) is not None:
                runs[told.tenant, told.run_id].told.append(told.told)
        return runs

    def _steps(self, record: Record, work: _Work) -> Sequence[Step]:
        try:
            return decode_steps(record.value)
        except (msgspec.DecodeError, UnknownStepSchema) as error:
            work.outputs.append(dead_letter(record, error, self.group))
            return ()

    def _take_in(self, head: Head, came: _Came, work: _Work) -> None:
        work.touched.add(head.key)
        if came.steps:
            work.changes += self._runs.reopen(head)
            for step in came.steps:
                head.facts.learn(step)
                head.root_ended = head.root_ended or step.is_root
            head.last_seen_ns = max(head.last_seen_ns, came.seen_ns)
            head.moved = True
            notes = [note_of(step, self._models) for step in came.steps]
            work.changes += self._runs.add(head, notes, work.state)
        work.changes += self._runs.hear(head, came.told, work.state)
        self._save(head, work)

    # --- time ---

    def _save(self, head: Head, work: _Work) -> None:
        work.changes.append(self._runs.save(head, self._due(head, work.now_ns)))

    def _due(self, head: Head, now_ns: int) -> int:
        """Say when to look at a run again."""
        if head.ended_ns:
            return now_ns + SETTLE_NS if head.moved else head.ended_ns + REMEMBERED_NS
        return max(self._ends_ns(head) or now_ns + self._idle_ns, now_ns + 1)

    def _ends_ns(self, head: Head) -> int:
        """Say when a run that goes on ends, if nothing comes; 0 where no step has come yet."""
        if not head.last_seen_ns:
            return 0
        return head.last_seen_ns + (self._idle_ns if head.root_ended else self._abandon_ns) + SETTLE_NS

    def _wake(self, key: str, work: _Work) -> None:
        head = None if key in work.touched else self._runs.find(key, work.state)
        if head is None:
            return  # its due time has just moved on
        work.touched.add(key)
        if not head.ended_ns and work.now_ns >= self._ends_ns(head):
            self._end(head, FINISHED if head.root_ended else ABANDONED, work)
        elif head.ended_ns and head.moved:
            self._tell(head, self._runs.case(head, work.state), work)
            self._save(head, work)
        elif head.ended_ns and work.now_ns >= head.ended_ns + REMEMBERED_NS:
            work.changes += self._runs.forget(head, work.state)
        else:
            self._save(head, work)

    def _end(self, head: Head, reason: str, work: _Work) -> None:
        case = self._runs.case(head, work.state)
        RUNS_EVICTED.labels(processor=self.group, reason=reason if case.has_steps else EMPTY).inc()
        if not case.has_steps:
            work.changes += self._runs.forget(head, work.state)
            return
        LATE_STEPS.labels(processor=self.group).inc(case.late)
        case.late = 0
        work.changes += self._runs.fold(head, case, work.state)
        work.changes += self._runs.end(head, work.now_ns)
        self._tell(head, case, work)
        self._save(head, work)

    def _enforce_caps(self, work: _Work) -> None:
        """End the runs that would end first, and forget the ones that ended first, where there are too many."""
        for key in self._first(LIVE, self._runs.live - self._max_runs, work):
            head = self._runs.find(key, work.state)
            if head is not None:
                self._end(head, CAP, work)
        for key in self._first(ENDED, self._runs.ended - self._most_ended, work):
            head = self._runs.find(key, work.state)
            if head is not None:
                CACHE_EVICTED.labels(cache="ended_runs", reason=CAP).inc()
                work.changes += self._runs.forget(head, work.state)

    @staticmethod
    def _first(store: str, count: int, work: _Work) -> Sequence[str]:
        if count <= 0:
            return ()
        return [key for key in work.state.due(store, LATEST_NS, count) if key not in work.touched]

    # --- what goes out ---

    def _tell(self, head: Head, case: Case, work: _Work) -> None:
        """Publish a run's summary, unless it says what it said before."""
        head.moved = False
        tenant, run_id = split_key(head.key)
        summary = summary_of(tenant, run_id, head.facts, case, self._runs.told(head, work.state))
        digest = xxhash.xxh3_64_intdigest(encode_summary(summary))
        if digest == head.digest:
            return
        head.version, head.digest = max(work.now_ns // 1_000_000, head.version + 1), digest
        RUN_SUMMARIES_TOLD.labels(outcome=summary.outcome).inc()
        work.outputs.append(_outgoing(msgspec.structs.replace(summary, version=head.version)))
        head.shortfall, told = self._shortfalls.tell(summary, head.shortfall, work.now_ns)
        work.outputs += told


def _outgoing(summary: RunSummary) -> Outgoing:
    key = join_key(summary.tenant, summary.service, summary.agent)
    return Outgoing(RUN_SUMMARIES, key, encode_summary(summary), {TENANT_HEADER: summary.tenant.encode()})


def _told(record: Record) -> Telling | None:
    try:
        return read_told(record.value)
    except (msgspec.DecodeError, ValueError):
        return None  # the sink reads the same record, and puts it among the dead letters
