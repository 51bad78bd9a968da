"""The second look: a stage that has the full model compare the texts of grey findings which a table of words found.

The table screens everything; the full model is a hundred times slower and is asked about borderline pairs alone, in
a process of its own. What it says moves a finding's confidence (`looking/weighing.py`): out of the grey zone the
finding is settled here, else the judge is next. Where the model is missing, away or too slow, findings are handed on
as they are, and the pipeline goes on.

An open look stands in the state until the batch that tells its end is committed; the question itself does not. It
costs nothing but time, so after a crash it is asked again.
"""

from __future__ import annotations

import queue
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import orjson

from collector.bus.dead_letters import dead_letter
from collector.bus.protocol import Batch, Handled, Record, State
from processors.judging.exhibit import missing_evidence
from processors.judging.reading import SECOND_LOOK, UnreadableFindingError, escalated, told_again
from processors.judging.recollection import ReadBack, Recollection
from processors.judging.rulings import JUDGE_TIER, is_live
from processors.judging.sitting import Sitting
from processors.looking.encodings import Answer, Encodings
from processors.looking.questions import Question, question_of, scale_of
from processors.looking.register import Register
from processors.looking.telling import Telling
from processors.looking.verdicts import SOURCE, Look, key_of, verdict_of
from schemas.keys import join_key
from schemas.metrics import STAGE_RECORDS
from schemas.timestamps import SECOND_NS
from schemas.topics import AGENT_STEPS, DETECTIONS, ESCALATIONS

MOST_LOOKS = 256
"""Looks that may be open at once; what comes beyond goes on to the judge."""
PATIENCE_NS, LONGEST_NS = 3 * SECOND_NS, 90 * SECOND_NS
"""How long steps are waited for that a finding names, and the model; a first answer takes its start as well."""
TAKEN = frozenset((SECOND_LOOK,))


class _Asked(NamedTuple):
    ticket: str
    version: int
    question: Question


class SecondLookStage:
    """A stage over `escalations`. `encodings` None: there is no full model here, and all is handed on.

    `model` is its name, as findings tell it; `memory_bytes` is what may be kept of steps that a finding may name,
    `read_back` reads them again after a restart.
    """

    group = "second_look"
    topics: Sequence[str] = (AGENT_STEPS, ESCALATIONS, DETECTIONS)

    def __init__(
        self,
        encodings: Encodings | None,
        model: str,
        clock_ns: Callable[[], int],
        memory_bytes: int,
        read_back: ReadBack,
    ) -> None:
        self._encodings = encodings
        self._model = model
        self._recollection = Recollection(memory_bytes, read_back, "second_look_transcripts")
        self._register = Register()
        self._telling = Telling(self._register, clock_ns)
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._asked: dict[str, _Asked] = {}
        self._tickets = 0

    @property
    def busy(self) -> bool:
        """Say whether the model is at something."""
        return bool(self._asked)

    @property
    def note(self) -> str:
        """Say what keeps it from looking; empty where nothing does. It goes on all the same."""
        if self._encodings is None:
            return "there is no full model here: findings are handed on as they are"
        trouble = self._encodings.trouble
        return f"the full model is away ({trouble}): findings are handed on as they are" if trouble else ""

    def restore(self, state: State) -> None:
        """Start from the committed state; what was asked is asked again, and the answers that still come count not."""
        self._asked.clear()
        self._register.restore(state)
        if self._encodings is not None:
            self._recollection.restore(state)

    def handle(self, batch: Batch, state: State) -> Handled:
        """Read a batch, end the looks that were answered, and ask about those that can be."""
        sitting = Sitting(batch.now_ns, state)
        STAGE_RECORDS.labels(stage=self.group).inc(len(batch.records))
        for record in batch.records:
            self._read(record, sitting)
        self._recollection.transcripts.trim()
        self._fold(sitting)
        for key, look in list(self._register.looks.items()):
            self._guarded(partial(self._go_on, key), look, sitting)
        changes = [*self._register.changes(state, batch.now_ns), *self._recollection.changes()]
        return Handled(sitting.outputs, changes)

    # --- what comes in ---

    def _read(self, record: Record, sitting: Sitting) -> None:
        if record.topic == AGENT_STEPS:
            if self._encodings is not None:
                self._recollection.keep(record)
            return
        try:
            if record.topic == ESCALATIONS:
                self._open(escalated(record, TAKEN), sitting)
            else:
                self._follow(told_again(record, SOURCE), record.headers.get("ce_source", b""), sitting)
        except UnreadableFindingError as error:
            sitting.outputs.append(dead_letter(record, error, self.group))

    def _open(self, document: dict[str, Any] | None, sitting: Sitting) -> None:
        if document is None:
            return
        key = key_of(document)
        known = self._register.verdict(key, sitting.state)
        if known is not None and known.is_judged:
            self._telling.pass_on(document, "judged", sitting)
        elif scale_of(document) is None:
            self._telling.pass_on(document, "no_question", sitting)
        elif self._encodings is None:
            self._telling.pass_on(document, "off", sitting)
        elif key in self._register.looks:
            self._tell(key, document)
        elif len(self._register.looks) >= MOST_LOOKS:
            self._telling.pass_on(document, "busy", sitting)
        else:
            self._register.put(key, Look(orjson.dumps(document), document["version"], sitting.now_ns))

    def _follow(self, document: dict[str, Any] | None, source: bytes, sitting: Sitting) -> None:
        """Hear a detection told again: by its detector, or by a higher tier, which then has the word."""
        if document is None:
            return
        if document.get("tier", 0) >= JUDGE_TIER:
            self._telling.give_up(document, sitting)
        elif source == f"tracemend/{document.get('processor')}".encode():
            key = key_of(document)
            if not is_live(document):
                self._register.drop(key)
            self._tell(key, document)
            self._telling.uphold(document, sitting)

    def _tell(self, key: str, document: dict[str, Any]) -> None:
        """Let an open look be about what was told last."""
        look = self._register.looks.get(key)
        if look is not None and document["version"] > look.version:
            self._register.put(key, Look(orjson.dumps(document), document["version"], look.since_ns))

    # --- questions and answers ---

    def _fold(self, sitting: Sitting) -> None:
        """End the looks that were answered; an answer nobody waits for any more is let go."""
        waiting = {asked.ticket: key for key, asked in self._asked.items()}
        while not self._answers.empty():
            answer = self._answers.get()
            key = waiting.get(answer.ticket, "")
            look = self._register.looks.get(key)
            asked = self._asked.pop(key, None)
            if look is not None and asked is not None and look.version == asked.version:
                self._guarded(partial(self._end, asked, answer), look, sitting)

    def _end(self, asked: _Asked, answer: Answer, look: Look, sitting: Sitting) -> None:
        if answer.vectors is None:
            self._telling.pass_on(look.told(), "away", sitting)
        else:
            verdict = verdict_of(self._model, asked.question, answer.vectors)
            self._telling.conclude(look.told(), verdict, sitting)

    def _go_on(self, key: str, look: Look, sitting: Sitting) -> None:
        """Ask about a look as soon as its steps are there, or give it up when it has waited too long."""
        asked = self._asked.get(key)
        waited = sitting.now_ns - look.since_ns
        if waited > LONGEST_NS:
            self._asked.pop(key, None)
            self._telling.pass_on(look.told(), "late", sitting)
        elif asked is None or asked.version != look.version:
            self._look(key, look, waited, sitting)

    def _look(self, key: str, look: Look, waited: int, sitting: Sitting) -> None:
        document = look.told()
        steps = self._recollection.transcripts.steps(join_key(document["tenant"], document["run_id"]))
        if missing_evidence(document, steps) and waited < PATIENCE_NS:
            return
        question = question_of(document, steps)
        known = self._register.verdict(key, sitting.state)
        if question is None:
            self._telling.pass_on(document, "no_texts", sitting)
        elif known is not None and known.content == question.content:
            self._telling.conclude(document, known, sitting)
        else:
            self._ask(key, document, question, sitting)

    def _ask(self, key: str, document: dict[str, Any], question: Question, sitting: Sitting) -> None:
        if self._encodings is None:
            self._telling.pass_on(document, "off", sitting)  # open since a time when there was a model
            return
        self._tickets += 1
        ticket = str(self._tickets)
        refused = self._encodings.ask(ticket, question.texts, self._answers)
        if refused == "away":
            self._telling.pass_on(document, refused, sitting)
        elif not refused:
            self._asked[key] = _Asked(ticket, document["version"], question)

    def _guarded(self, work: Callable[[Look, Sitting], None], look: Look, sitting: Sitting) -> None:
        """Do what is to be done about a look; one that cannot be handled must not hold up all others for good."""
        try:
            work(look, sitting)
        except (OSError, MemoryError, sqlite3.Error):
            raise  # the world around is at fault, and comes right
        except Exception as error:  # noqa: BLE001  # counted by its name
            self._telling.pass_on(look.told(), f"failed_{type(error).__name__}", sitting)
