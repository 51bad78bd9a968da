"""The LLM judge: a stage that has grey findings decided by a model, within hard budgets.

A call is slow and costs money, a stage is quick and may be killed at any time. So a case goes in committed steps:
its exhibit is chosen and money asked for; granted, it is marked as called; only when that mark is committed the call
begins, in a thread of its own; what it brought is folded in by a later batch. A case that is found marked without a
call under way was killed in between: its money counts as spent, and it is asked for once more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec
import orjson

from collector.bus.dead_letters import dead_letter
from collector.bus.protocol import Batch, Handled, Record, State
from processors.judging.calls import MessagesApi
from processors.judging.cases import BATCHED, CALLING, GRANTED, Case, Docket
from processors.judging.config import JudgeConfig
from processors.judging.hearings import Hearings
from processors.judging.prices import JudgePrices
from processors.judging.reading import TAKEN, UnreadableFindingError, escalated, told_again
from processors.judging.recollection import ReadBack, Recollection
from processors.judging.rulings import SOURCE
from processors.judging.sentences import Sentences
from processors.judging.sitting import Sitting
from processors.judging.threads import Calls
from schemas.judge import UnknownJudgeSchema, decode_grant
from schemas.metrics import STAGE_RECORDS
from schemas.topics import AGENT_STEPS, DETECTIONS, ESCALATIONS, JUDGE_GRANTS

NOT_URGENT = frozenset(("info", "low", "medium"))
"""Severities of findings whose verdict may take a day, where batches are on."""


class LlmJudgeStage:
    """A stage over `escalations`. What it decides on stands in its state; calls under way and transcripts do not.

    `memory_bytes`: what it may keep of steps that it may be asked about; `read_back` reads them again after a restart.
    `taken`: the `next_tier` of the escalations that it takes.
    """

    group = "llm_judge"
    topics: Sequence[str] = (AGENT_STEPS, ESCALATIONS, DETECTIONS, JUDGE_GRANTS)

    def __init__(
        self,
        config: JudgeConfig,
        prices: JudgePrices,
        api: MessagesApi,
        clock_ns: Callable[[], int],
        memory_bytes: int,
        read_back: ReadBack,
        taken: Collection[bytes] = TAKEN,
    ) -> None:
        self._config = config
        self._taken = taken
        self._calls = Calls(api, config.batch_poll_seconds)
        self._docket = Docket()
        self._recollection = Recollection(memory_bytes, read_back)
        self._sentences = Sentences(self._docket, clock_ns)
        transcripts = self._recollection.transcripts
        self._hearings = Hearings(config, prices, self._docket, transcripts, self._sentences, self._calls.knows)
        self._to_start: dict[str, dict[str, Any]] = {}
        self._to_submit: dict[str, dict[str, Any]] = {}
        self._folded: set[str] = set()

    @property
    def busy(self) -> bool:
        """Say whether calls are under way whose money would be lost by stopping now."""
        return bool(self._to_start or self._to_submit) or self._calls.any_left()

    def restore(self, state: State) -> None:
        """Start from the committed state. Calls go on: what they bring is folded in as if nothing had happened."""
        self._to_start.clear()
        self._to_submit.clear()
        self._folded.clear()
        self._docket.restore(state)
        self._recollection.restore(state)

    def handle(self, batch: Batch, state: State) -> Handled:
        """Read a batch, fold in what calls brought, and take every case as far as it goes."""
        self._after_commit()
        sitting = Sitting(batch.now_ns, state)
        STAGE_RECORDS.labels(stage=self.group).inc(len(batch.records))
        for record in batch.records:
            self._read(record, sitting)
        self._recollection.transcripts.trim()
        self._fold(sitting)
        for case in list(self._docket.cases.values()):
            self._hearings.go_on(case, None, sitting)
        self._mark_calls()
        return Handled(sitting.outputs, [*self._docket.changes(state, batch.now_ns), *self._recollection.changes()])

    # --- what comes in ---

    def _read(self, record: Record, sitting: Sitting) -> None:
        if record.topic == AGENT_STEPS:
            self._recollection.keep(record)
            return
        try:
            if record.topic == ESCALATIONS:
                self._open(escalated(record, self._taken), record.append_ns, sitting)
            elif record.topic == DETECTIONS:
                self._follow(told_again(record, SOURCE), sitting)
            else:
                self._hearings.granted(decode_grant(record.value), sitting)
        except (UnreadableFindingError, UnknownJudgeSchema, msgspec.DecodeError) as error:
            sitting.outputs.append(dead_letter(record, error, self.group))

    def _open(self, document: dict[str, Any] | None, since_ns: int, sitting: Sitting) -> None:
        if document is None:
            return
        told = orjson.dumps(document)
        case = Case(document["tenant"], document["run_id"], document["id"], told, document["version"], since_ns)
        case.is_urgent = not (self._config.batch and document.get("severity") in NOT_URGENT)
        known = self._docket.cases.get(case.key)
        if known is not None:
            self._tell(known, document)
        elif len(self._docket.cases) >= self._config.max_cases:
            sitting.outputs.extend(self._sentences.conclude(case, sitting.state, sitting.now_ns, "busy"))
        else:
            self._docket.put(case)

    def _follow(self, document: dict[str, Any] | None, sitting: Sitting) -> None:
        """Hear a detector tell of a detection again: cases judge the latest, rulings are laid over it."""
        if document is None:
            return
        key = self._sentences.key_of(document)
        case = self._docket.cases.get(key)
        if case is not None:
            self._tell(case, document)
        sitting.outputs.extend(self._sentences.uphold(key, document, sitting.state, sitting.now_ns))

    def _tell(self, case: Case, document: dict[str, Any]) -> None:
        if document["version"] > case.version:
            case.document, case.version = orjson.dumps(document), document["version"]
            self._docket.put(case)

    # --- calls ---

    def _after_commit(self) -> None:
        """Do what had to wait until the last batch was committed: forget what it folded in, begin what it marked."""
        for name in self._folded:
            self._calls.forget(name)
        for name, request in self._to_start.items():
            self._calls.start(name, request)
        if self._to_submit:
            self._calls.submit(self._to_submit)
        for case in self._docket.cases.values():
            if case.phase == BATCHED:
                self._calls.watch(case.batch)
        self._folded.clear()
        self._to_start.clear()
        self._to_submit.clear()

    def _fold(self, sitting: Sitting) -> None:
        called = {case.reservation: case for case in self._docket.cases.values() if case.phase in (CALLING, BATCHED)}
        for name, outcome in self._calls.ended().items():
            self._folded.add(name)
            if name in called:
                self._hearings.go_on(called[name], outcome, sitting)

    def _mark_calls(self) -> None:
        """Mark cases as called while there is room; their calls begin when the marks are committed."""
        room = self._config.concurrency - self._calls.under_way()
        for case in self._docket.cases.values():
            if case.phase != GRANTED or (case.is_urgent and len(self._to_start) >= room):
                continue
            case.phase = CALLING
            self._docket.put(case)
            marked = self._to_start if case.is_urgent else self._to_submit
            marked[case.reservation] = self._hearings.request(case)
