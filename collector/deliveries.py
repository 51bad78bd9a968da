"""Drives a delivery: gather a batch, fix it durably, deliver it, commit; after a crash the same batch again.

The plan (which offsets, under which token) is committed before the store is touched and removed together with the
commit of the offsets. So a batch is delivered again with exactly the same records or not at all, and the store's
deduplication by token makes that harmless.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from collector.bus.protocol import Batch, Bus, Consumer, Delivery, Handled, Record, StateChange
from collector.stages import POLL_SECONDS, StageThread

PLAN_STORE, PLAN_KEY = "plan", "next"

Range = tuple[str, int, int, int]
"""Topic, partition, first and last offset."""


class Plan(msgspec.Struct, array_like=True):
    """What the next delivery holds."""

    token: str
    ranges: list[Range]


class DeliveryThread(StageThread):
    """One delivery in a thread of its own."""

    def __init__(self, name: str, delivery: Delivery, bus: Bus, on_fenced: object) -> None:
        super().__init__(name, delivery, bus, on_fenced, delivery.max_records)  # type: ignore[arg-type]  # see _handle
        self._delivery = delivery

    def _poll(self, consumer: Consumer, limit: int) -> Batch:
        stored = consumer.state.get(PLAN_STORE, PLAN_KEY)
        if stored is not None:
            return poll_exactly(consumer, msgspec.msgpack.decode(stored, type=Plan))
        batch = self._gather(consumer, limit)
        if batch.records:
            plan = plan_of(self._delivery.group, batch.records)
            consumer.commit(changes=[StateChange(PLAN_STORE, PLAN_KEY, msgspec.msgpack.encode(plan))], offsets=False)
        return batch

    def _gather(self, consumer: Consumer, limit: int) -> Batch:
        """Poll until a batch is full or old enough; one that fills quickly may grow older, for it then costs less."""
        batch = consumer.poll(limit, timeout_seconds=self._patience())
        if not batch.records:
            return batch
        records, begun = list(batch.records), time.monotonic()
        size = sum(len(record.value) for record in records)
        while len(records) < limit and size < BATCH_BYTES and (left := self._left(begun, size)) > 0:
            batch = consumer.poll(limit - len(records), timeout_seconds=left)
            records += batch.records
            size += sum(len(record.value) for record in batch.records)
        return Batch(records, batch.now_ns)

    def _left(self, begun: float, size: int) -> float:
        """Say how long a batch may still grow."""
        if self._finish.is_set():
            return 0.0
        flushes = BUSY_FLUSHES if size >= BUSY_BYTES else 1
        return begun + flushes * self._delivery.flush_seconds - time.monotonic()

    def _handle(self, batch: Batch, consumer: Consumer) -> Handled:  # noqa: ARG002  # deliveries keep no state of it
        if not batch.records:
            return Handled()
        handled = self._delivery.deliver(batch, plan_of(self._delivery.group, batch.records).token)
        return Handled(handled.outputs, [*handled.changes, StateChange(PLAN_STORE, PLAN_KEY, None)])

    def _end(self) -> None:
        self._delivery.close()

    def _give_up(self, consumer: Consumer, batch: Batch, error: Exception) -> None:
        super()._give_up(consumer, batch, error)
        consumer.commit(changes=[StateChange(PLAN_STORE, PLAN_KEY, None)], offsets=False)


BATCH_BYTES = 16 * 1024 * 1024
BUSY_BYTES, BUSY_FLUSHES = 1024 * 1024, 4
"""From how many bytes on a batch may take how many times its delivery's `flush_seconds` to grow."""


def plan_of(group: str, records: Sequence[Record]) -> Plan:
    """Fix what a batch holds."""
    ends: dict[tuple[str, int], tuple[int, int]] = {}
    for record in records:
        place = (record.topic, record.partition)
        first, _ = ends.get(place, (record.offset, 0))
        ends[place] = (first, record.offset)
    ranges = [(topic, part, first, last) for (topic, part), (first, last) in sorted(ends.items())]
    token = ",".join(f"{topic}/{part}:{first}-{last}" for topic, part, first, last in ranges)
    return Plan(f"{group}|{token}", ranges)


def poll_exactly(consumer: Consumer, plan: Plan) -> Batch:
    """Read the records of a plan again, and nothing else."""
    records: list[Record] = []
    wanted = {(topic, part): last for topic, part, _, last in plan.ranges}
    beyond: dict[tuple[str, int], int] = {}
    now_ns = 0
    for topic, part, first, _ in plan.ranges:
        consumer.seek(topic, part, first)
    missing = sum(last - first + 1 for _, _, first, last in plan.ranges)
    while missing > 0:
        batch = consumer.poll(missing, timeout_seconds=POLL_SECONDS)
        now_ns = batch.now_ns
        if not batch.records:
            break
        for record in batch.records:
            place = (record.topic, record.partition)
            if record.offset <= wanted.get(place, -1):
                records.append(record)
                missing -= 1
            else:
                beyond.setdefault(place, record.offset)
    for (topic, part), offset in beyond.items():
        consumer.seek(topic, part, offset)
    return Batch(sorted(records, key=lambda record: record.append_ns), now_ns)
