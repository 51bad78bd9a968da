"""Drives a delivery: gather a batch, fix it durably, deliver it, commit; after a crash the same batch again.

The plan (which offsets, under which token) is committed before the store is touched and removed together with the
commit of the offsets. So a batch is delivered again with exactly the same records or not at all, and the delivery
knows that it may have been written before. Tokens are drawn, not derived: a bus that was begun anew counts its
offsets from 0 again, and the store must not take its batches for those of the bus before.
A batch that fails time after time, not for want of the store, is cut in halves down to the one record at fault.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence

import msgspec

from collector.bus.protocol import Batch, Consumer, Delivery, Handled, Range, Record, StateChange, part_of
from collector.memory_shares import LARGEST_BATCH_BYTES
from collector.poison import PoisonLimit
from collector.stage_task import StageTask

PLAN_STORE, PLAN_KEY = "plan", "queue"
BUSY_BYTES, BUSY_FLUSHES = 1024 * 1024, 4
"""From how many bytes on a batch may take how many times its delivery's `flush_seconds` to grow."""


class Plan(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a delivery holds. `again`: parts of it may have been delivered under another plan."""

    token: str
    ranges: list[Range]
    again: bool = False


class DeliveryTask(StageTask):
    """A delivery of its own for one task."""

    def __init__(
        self,
        delivery: Delivery,
        consumer: Consumer,
        is_finishing: Callable[[], bool],
        on_lag: Callable[[], None],
        poison: PoisonLimit,
        max_bytes: int = LARGEST_BATCH_BYTES,
    ) -> None:
        super().__init__(delivery, consumer, is_finishing, on_lag, poison, max_bytes, delivery.max_records)  # type: ignore[arg-type]  # see _handle
        self._delivery = delivery
        self._plans: list[Plan] = []
        """Committed and not yet delivered; the first one is what the polled batch holds."""

    def close(self) -> None:
        """Let go of the task, and of the delivery's connection."""
        self._delivery.close()
        super().close()

    def _poll(self, limit: int, timeout_seconds: float) -> Batch:
        stored = self.consumer.state.get(PLAN_STORE, PLAN_KEY)
        if stored is not None:
            plans = msgspec.msgpack.decode(stored, type=list[Plan])
            self._plans = [msgspec.structs.replace(plans[0], again=True), *plans[1:]]
            return self.consumer.poll_again(self._plans[0].ranges)
        batch = self._gather(limit, timeout_seconds)
        self._plans = [plan_of(self._delivery.group, batch.records)] if batch.records else []
        if self._plans:
            self.consumer.commit(changes=[_kept(self._plans)], offsets=False)
        return batch

    def _gather(self, limit: int, timeout_seconds: float) -> Batch:
        """Poll until a batch is full or old enough; one that fills quickly may grow older, for it then costs less.

        Where other tasks wait for their turn it does not: what comes while they have it makes the next batch large.
        """
        batch = self.consumer.poll(limit, self._max_bytes, timeout_seconds)
        if not batch.records or timeout_seconds <= 0:
            return batch
        records, begun = list(batch.records), time.monotonic()
        size = sum(len(record.value) for record in records)
        while len(records) < limit and size < self._max_bytes and (left := self._left(begun, size)) > 0:
            batch = self.consumer.poll(limit - len(records), self._max_bytes - size, left)
            records += batch.records
            size += sum(len(record.value) for record in batch.records)
        return Batch(records, batch.now_ns)

    def _left(self, begun: float, size: int) -> float:
        """Say how long a batch may still grow."""
        if self._is_finishing():
            return 0.0
        flushes = BUSY_FLUSHES if size >= BUSY_BYTES else 1
        return begun + flushes * self._delivery.flush_seconds - time.monotonic()

    def _handle(self, batch: Batch) -> Handled:
        if not self._plans:
            return Handled()
        plan, *left = self._plans
        # A plan may be empty by now: the log lets go of what a newer record of its key replaces.
        handled = self._delivery.deliver(batch, plan.token, plan.again) if batch.records else Handled()
        return Handled(handled.outputs, [*handled.changes, _kept(left)])

    def _isolate(self, batch: Batch, error: Exception) -> None:
        """Cut the plan that fails in two, or give up on it where it is one record."""
        if len(batch.records) == 1:
            self._give_up(batch, error, [_kept(self._plans[1:])])
        elif self._plans:
            self.consumer.commit(changes=[_kept([*halves(self._plans[0]), *self._plans[1:]])], offsets=False)


def plan_of(group: str, records: Sequence[Record]) -> Plan:
    """Fix what a batch holds."""
    ends: dict[tuple[str, int], tuple[int, int]] = {}
    for record in records:
        place = (record.topic, record.partition)
        first, _ = ends.get(place, (record.offset, 0))
        ends[place] = (first, record.offset)
    ranges = [Range(topic, part, first, last) for (topic, part), (first, last) in sorted(ends.items())]
    return Plan(f"{group}|{secrets.token_hex(16)}", ranges)


def halves(plan: Plan) -> list[Plan]:
    """Cut a plan in two; what it held may have been delivered in part."""
    room = (sum(last - first + 1 for _, _, first, last in plan.ranges) + 1) // 2
    early: list[Range] = []
    late: list[Range] = []
    for topic, part, first, last in plan.ranges:
        cut = min(last, first + room - 1)
        room -= max(0, cut - first + 1)
        if cut >= first:
            early.append(Range(topic, part, first, cut))
        if cut < last:
            late.append(Range(topic, part, max(first, cut + 1), last))
    return [
        Plan(part_of(plan.token, number), ranges, again=True) for number, ranges in enumerate((early, late)) if ranges
    ]


def _kept(plans: Sequence[Plan]) -> StateChange:
    return StateChange(PLAN_STORE, PLAN_KEY, msgspec.msgpack.encode(plans) if plans else None)
