"""Adds money up over runs: per agent and hour, per tenant and day, from `usage`; reports budgets nearly or fully spent.

Each sum is a row of keyed state of its own, closed some time after its period. Corrections subtract.
Periods are by when a call began, in UTC; their end is waited for in bus time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from collector.bus.dead_letters import dead_letter
from collector.bus.protocol import Batch, Handled, Outgoing, Record, State, StateChange
from processors.runs.publishing import Subject, Versions, detection_outgoing
from processors.spending.budgets import AGENT_HOUR, TENANT_DAY, Budgets, Level, Overspend, level_of, overspend_finding
from schemas.detection import CLOSED, OPEN, WITHDRAWN
from schemas.keys import join_key
from schemas.metrics import RUNS_EVICTED, STAGE_RECORDS
from schemas.step import SpanRef
from schemas.timestamps import rfc3339
from schemas.topics import USAGE
from schemas.usage import UnknownUsageSchema, UsageRecord, decode_usage

STORE = "spend"
PROCESSOR, VERSION = "cost", "1"
HOUR_NS = 3_600_000_000_000
PERIOD_NS = {AGENT_HOUR: HOUR_NS, TENANT_DAY: 24 * HOUR_NS}
GRACE_NS = HOUR_NS
"""How long a sum is kept after its period, or after its last record where that is later (bus time)."""
DUE_AT_ONCE = 500
MAX_SUMS = 100_000


class Sum(msgspec.Struct, array_like=True):
    """What was spent of one budget in one period. Its detection belongs to the run of its first call."""

    tenant: str
    budget: str
    service: str
    agent: str
    framework: str
    begins_ns: int
    run_id: str
    first: SpanRef
    usd: float = 0.0
    calls: int = 0
    unpriced_calls: int = 0
    level: int = Level.FINE
    crossing: SpanRef | None = None
    crossed_ns: int = 0


class Slot(NamedTuple):
    """Which sum a record belongs to."""

    budget: str
    service: str
    agent: str
    begins_ns: int

    def key(self, tenant: str) -> str:
        """Name its row."""
        return join_key(tenant, self.budget, self.service, self.agent, str(self.begins_ns))


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Sum).decode


class SpendStage:
    """A stage over `usage`. Holds nothing in memory: what it knows is in the committed state."""

    group = "spend"
    topics: Sequence[str] = (USAGE,)

    def __init__(self, budgets: Budgets, clock_ns: Callable[[], int]) -> None:
        limits = {AGENT_HOUR: budgets.agent_hour_usd, TENANT_DAY: budgets.tenant_day_usd}
        self._limits = {budget: limit for budget, limit in limits.items() if limit is not None}
        self._clock_ns = clock_ns
        self._versions = Versions()

    def restore(self, state: State) -> None:
        """Start from the committed state, which is all there is."""

    def handle(self, batch: Batch, state: State) -> Handled:
        """Add a batch up, then close the sums whose time has passed."""
        outputs: list[Outgoing] = []
        sums: dict[str, Sum] = {}
        for usage in _readable(batch.records, outputs):
            self._add(usage, sums, state, batch, outputs)
        due_ns = {key: self._closes_ns(total, batch.now_ns) for key, total in sums.items()}
        changes = [StateChange(STORE, key, _encode(total), due_ns[key]) for key, total in sums.items()]
        for key in state.due(STORE, batch.now_ns, DUE_AT_ONCE):
            if key not in sums:
                changes.append(StateChange(STORE, key, None))
                outputs += self._close(state.get(STORE, key), batch)
        return Handled(outputs, changes)

    def _add(
        self, usage: UsageRecord, sums: dict[str, Sum], state: State, batch: Batch, outputs: list[Outgoing]
    ) -> None:
        for slot in self._slots(usage):
            key = slot.key(usage.tenant)
            total = sums.get(key) or _load(state, key) or self._begin(slot, usage, state, len(sums))
            if total is None:
                continue
            sums[key] = total
            _count(total, usage)
            outputs += self._level_changed(total, usage, batch)

    def _slots(self, usage: UsageRecord) -> Iterator[Slot]:
        for budget in self._limits:
            begins_ns = usage.at_ns - usage.at_ns % PERIOD_NS[budget]
            by_agent = budget == AGENT_HOUR
            yield Slot(budget, usage.service if by_agent else "", usage.agent if by_agent else "", begins_ns)

    def _begin(self, slot: Slot, usage: UsageRecord, state: State, new: int) -> Sum | None:
        """Begin a sum; beyond the cap a new one is not kept, and counted."""
        if usage.sign_seq % 2 == 0:
            return None  # takes back what a sum said that is closed by now
        if state.count(STORE) + new >= MAX_SUMS:
            RUNS_EVICTED.labels(processor=self.group, reason="cap").inc()
            return None
        first = SpanRef(usage.trace_id, usage.span_id)
        framework = usage.framework if slot.agent else ""
        return Sum(usage.tenant, *slot[:3], framework, slot.begins_ns, usage.run_id, first)

    def _level_changed(self, total: Sum, usage: UsageRecord, batch: Batch) -> Sequence[Outgoing]:
        level = level_of(total.usd, self._limits[total.budget])
        if level == total.level:
            return ()
        if level > total.level and total.level < Level.BREACHED:
            total.crossing, total.crossed_ns = SpanRef(usage.trace_id, usage.span_id), usage.at_ns
        told, total.level = level or Level(total.level), int(level)
        return [self._detection(total, told, OPEN if level else WITHDRAWN, batch)]

    def _close(self, data: bytes | None, batch: Batch) -> Sequence[Outgoing]:
        total = _decode(data) if data else None
        if total is None or not total.level or total.budget not in self._limits:
            return ()
        return [self._detection(total, Level(total.level), CLOSED, batch)]

    def _detection(self, total: Sum, level: Level, status: str, batch: Batch) -> Outgoing:
        over = Overspend(
            budget=total.budget,
            budget_usd=self._limits[total.budget],
            spent_usd=total.usd,
            level=level,
            calls=total.calls,
            unpriced_calls=total.unpriced_calls,
            first=total.first,
            crossing=total.crossing or total.first,
            crossed_ns=total.crossed_ns,
        )
        period = rfc3339(total.begins_ns)
        fingerprint = join_key(total.budget, total.service, total.agent, str(total.begins_ns))
        finding = overspend_finding(over, fingerprint, status, period_start=period)
        subject = Subject(
            tenant=total.tenant,
            run_id=total.run_id,
            service=total.service,
            agent=total.agent,
            framework=total.framework,
            conversation_id="",
            processor=PROCESSOR,
            processor_version=VERSION,
        )
        return detection_outgoing(subject, finding, self._versions.next(batch.now_ns), self._clock_ns())

    @staticmethod
    def _closes_ns(total: Sum, now_ns: int) -> int:
        period_ns = PERIOD_NS[total.budget]
        ends_ns = min(total.begins_ns + period_ns, now_ns + period_ns)  # a clock that runs ahead gains it nothing
        return max(ends_ns, now_ns) + GRACE_NS


def _readable(records: Iterable[Record], outputs: list[Outgoing]) -> Iterator[UsageRecord]:
    for record in records:
        STAGE_RECORDS.labels(stage=SpendStage.group).inc()
        try:
            usage = decode_usage(record.value)
        except (msgspec.DecodeError, UnknownUsageSchema) as error:
            outputs.append(dead_letter(record, error, SpendStage.group))
            continue
        yield usage


def _load(state: State, key: str) -> Sum | None:
    data = state.get(STORE, key)
    return _decode(data) if data else None


def _count(total: Sum, usage: UsageRecord) -> None:
    sign = 1 if usage.sign_seq % 2 else -1
    total.calls += sign
    total.usd += usage.cost_usd or 0.0
    total.unpriced_calls += sign if usage.cost_usd is None else 0
