"""The one owner of each tenant's judging money: grants reservations, or names the budget that is spent.

A stage over `judge_budget`, which is keyed by tenant, so that all replicas of the judge ask the same owner.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from typing import TYPE_CHECKING

import msgspec

from collector.bus.dead_letters import dead_letter
from collector.bus.protocol import Batch, Handled, Outgoing, Record, State
from processors.judging.ledger import Ledger
from schemas.judge import (
    MICRO,
    RUN,
    TENANT_DAY,
    TENANT_HOUR,
    Grant,
    Reserve,
    UnknownJudgeSchema,
    decode_purse,
    encode_grant,
)
from schemas.keys import join_key
from schemas.metrics import JUDGE_OVER_RESERVATION, JUDGE_REFUSED, STAGE_RECORDS
from schemas.topics import JUDGE_BUDGET, JUDGE_GRANTS, TENANT_HEADER

if TYPE_CHECKING:
    from processors.judging.config import JudgeBudgets


class JudgeBudgetStage:
    """A stage over `judge_budget`. Holds nothing in memory: what it knows is in the committed state."""

    group = "judge_budget"
    topics: Sequence[str] = (JUDGE_BUDGET,)

    def __init__(self, budgets: JudgeBudgets) -> None:
        self._limits = {
            RUN: floor(budgets.run_usd * MICRO),
            TENANT_HOUR: floor(budgets.tenant_hour_usd * MICRO),
            TENANT_DAY: floor(budgets.tenant_day_usd * MICRO),
        }

    def restore(self, state: State) -> None:
        """Start from the committed state, which is all there is."""

    def handle(self, batch: Batch, state: State) -> Handled:
        """Answer a batch, in its order."""
        STAGE_RECORDS.labels(stage=self.group).inc(len(batch.records))
        ledger = Ledger(self._limits, state)
        outputs = [answer for record in batch.records for answer in self._answer(record, ledger)]
        return Handled(outputs, list(ledger.changes(batch.now_ns)))

    def _answer(self, record: Record, ledger: Ledger) -> Sequence[Outgoing]:
        try:
            message = decode_purse(record.value)
        except (msgspec.DecodeError, UnknownJudgeSchema) as error:
            return [dead_letter(record, error, self.group)]
        if isinstance(message, Reserve):
            return [_grant(message, ledger.reserve(message, record.append_ns))]
        over = ledger.settle(message, record.append_ns)
        JUDGE_OVER_RESERVATION.inc(over / MICRO)
        return ()


def _grant(asked: Reserve, spent: str) -> Outgoing:
    if spent:
        JUDGE_REFUSED.labels(budget=spent).inc()
    value = encode_grant(Grant(asked.id, asked.case, spent))
    key = join_key(asked.tenant, asked.run_id)
    return Outgoing(JUDGE_GRANTS, key, value, {TENANT_HEADER: asked.tenant.encode()})
