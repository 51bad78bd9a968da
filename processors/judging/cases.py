"""Cases before the judge, its rulings, and answers that are remembered: keyed state, read through what a batch changed.

A case lives from an escalation to its ruling; all of them are in memory as well. A ruling is kept as long as its
detector may tell of the detection again. An answer is remembered by the content it was given for, and the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson

from collector.bus.protocol import State, StateChange
from processors.judging.answers import Opinion
from processors.judging.exhibit import Exhibit
from processors.judging.prompts import PROMPT_VERSION
from processors.judging.rulings import Ruling
from schemas.keys import join_key
from schemas.metrics import JUDGE_CASES

CASES, RULINGS, OPINIONS = "cases", "rulings", "opinions"
LOOKING, ASKED, GRANTED, CALLING, BATCHED = 0, 1, 2, 3, 4
"""What a case is at: its steps are looked for, or the API waited for; money is asked for; money is there; a call is
made; a batch is waited for."""

DAY_NS = 86_400 * 1_000_000_000
RULING_KEPT_NS = 3 * DAY_NS
OPINION_KEPT_NS = DAY_NS
MOST_OPINIONS = 20_000
DUE_AT_ONCE = 500


class Case(msgspec.Struct, array_like=True):
    """One grey detection on its way to a ruling; amounts in micro-USD.

    `document` is the detection as its detector last told it, JSON. `model` counts up the cascade. `asked` counts
    reservations, `held` is what the present one holds; `counted` are the input tokens the last model counted; `lost`
    counts calls whose answer never came; `batch` is the id of the batch it is in.
    """

    tenant: str
    run_id: str
    detection_id: str
    document: bytes
    version: int
    since_ns: int
    phase: int = LOOKING
    exhibit: Exhibit | None = None
    model: int = 0
    asked: int = 0
    held: int = 0
    counted: int = 0
    spent: int = 0
    lost: int = 0
    opinion: Opinion | None = None
    is_urgent: bool = True
    batch: str = ""

    @property
    def run_key(self) -> str:
        """Name the run as records are keyed."""
        return join_key(self.tenant, self.run_id)

    @property
    def key(self) -> str:
        """Name the row."""
        return join_key(self.tenant, self.run_id, self.detection_id)

    @property
    def reservation(self) -> str:
        """Name the reservation, and the call that is made under it; never the same twice."""
        return f"{self.detection_id}-{self.since_ns}-{self.asked}"

    def told(self) -> dict[str, Any]:
        """Read the detection."""
        document: dict[str, Any] = orjson.loads(self.document)
        return document


_encode = msgspec.msgpack.Encoder().encode
_case = msgspec.msgpack.Decoder(Case).decode
_ruling = msgspec.msgpack.Decoder(Ruling).decode
_opinion = msgspec.msgpack.Decoder(Opinion).decode


class Docket:
    """All cases, and what is known from earlier ones. Changes are collected until `changes` gives them to a commit."""

    def __init__(self) -> None:
        self.cases: dict[str, Case] = {}
        self._changed: set[str] = set()
        self._rows: dict[tuple[str, str], tuple[bytes | None, int | None]] = {}

    def restore(self, state: State) -> None:
        """Read the open cases from the committed state."""
        self.cases = {key: _case(value) for key, value in state.scan(CASES)}
        self._changed.clear()
        self._rows.clear()

    def put(self, case: Case) -> None:
        """Keep a case that is new or changed."""
        self.cases[case.key] = case
        self._changed.add(case.key)

    def drop(self, case: Case) -> None:
        """Close a case; one that was never kept may be dropped as well."""
        if self.cases.pop(case.key, None) is not None:
            self._changed.add(case.key)

    def ruling(self, key: str, state: State) -> Ruling | None:
        """Give the ruling on a detection."""
        value = self._get(RULINGS, key, state)
        return _ruling(value) if value else None

    def rule(self, key: str, ruling: Ruling | None, now_ns: int) -> None:
        """Keep a ruling, or forget it."""
        value = _encode(ruling) if ruling is not None else None
        self._rows[RULINGS, key] = (value, now_ns + RULING_KEPT_NS)

    def opinion(self, case: Case, model: str, state: State) -> Opinion | None:
        """Give what a model answered on the same content."""
        value = self._get(OPINIONS, _opinion_key(case, model), state)
        return _opinion(value) if value else None

    def remember(self, case: Case, opinion: Opinion, state: State, now_ns: int) -> None:
        """Keep an answer; beyond the cap only those that are there already are."""
        if state.count(OPINIONS) < MOST_OPINIONS:
            self._rows[OPINIONS, _opinion_key(case, opinion.model)] = (_encode(opinion), now_ns + OPINION_KEPT_NS)

    def changes(self, state: State, now_ns: int) -> Sequence[StateChange]:
        """Give what is to be committed, and let rows go whose time has passed."""
        changes = [StateChange(store, key, *row) for (store, key), row in self._rows.items()]
        for key in self._changed:
            case = self.cases.get(key)
            # A key that was opened and closed within one batch was never stored; deleting it again does no harm.
            changes.append(StateChange(CASES, key, None if case is None else _encode(case)))
        for store in (RULINGS, OPINIONS):
            late = state.due(store, now_ns, DUE_AT_ONCE)
            changes += [StateChange(store, key, None) for key in late if (store, key) not in self._rows]
        self._changed.clear()
        self._rows.clear()
        JUDGE_CASES.set(len(self.cases))
        return changes

    def _get(self, store: str, key: str, state: State) -> bytes | None:
        if (store, key) in self._rows:
            return self._rows[store, key][0]
        return state.get(store, key)


def _opinion_key(case: Case, model: str) -> str:
    content = case.exhibit.content if case.exhibit is not None else ""
    return join_key(case.tenant, content, model, PROMPT_VERSION)
