"""Whatever a stage raises on, the records around it are handled, each once, and the one at fault is put aside."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from collector import stage_task, stages
from collector.bus.embedded import EmbeddedBus
from collector.bus.protocol import Batch, BusUnavailable, Handled, Outgoing, Record, State
from collector.deliveries import DeliveryTask, Plan, halves, plan_of
from collector.memory_shares import LARGEST_WORK_BYTES
from collector.poison import PoisonLimit
from collector.stages import StageThread
from schemas.topics import DEAD_LETTERS, OTLP_LOGS, OTLP_SPANS, POLICIES

RECORDS = 40
POISON = (b"17", b"38")


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedBus]:
    monkeypatch.setattr(stage_task, "FIRST_PAUSE_SECONDS", 0.0)
    opened = EmbeddedBus(tmp_path, partitions=3)
    for number in range(RECORDS):
        topic = (OTLP_SPANS, OTLP_LOGS)[number % 2]
        opened.publish([Outgoing(topic, str(number), str(number).encode())]).result(5)
    yield opened
    opened.close()


class Picky:
    """Raises on some records; as a stage it says what it has handled, as a delivery it writes it down."""

    group = "picky"
    topics: Sequence[str] = (OTLP_SPANS, OTLP_LOGS)
    max_records = 500
    flush_seconds = 0.01

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.failing: Exception = ValueError("cannot be handled")

    def restore(self, state: State) -> None:
        """Nothing is kept."""

    def handle(self, batch: Batch, state: State) -> Handled:
        values = [record.value for record in batch.records]
        if any(value in POISON for value in values):
            raise self.failing
        self.written += values
        return Handled()


class PickyDelivery(Picky):
    """The same, outside the bus."""

    def deliver(self, batch: Batch, token: str, again: bool) -> Handled:
        """Write each record at its turn, so that a failure leaves the batch half written."""
        for record in batch.records:
            if record.value in POISON:
                raise self.failing
            if again and record.value in self.written:
                continue
            self.written.append(record.value)
        return Handled()

    def close(self) -> None:
        """Nothing to let go of."""


def put_aside(bus: EmbeddedBus) -> list[bytes]:
    reader = bus.reader([DEAD_LETTERS])
    for partition in range(3):
        reader.seek(DEAD_LETTERS, partition, 0)
    letters = reader.poll(timeout_seconds=0.1).records
    reader.close()
    return sorted(letter.value for letter in letters)


def run(thread: StageThread) -> None:
    """Let a stage read what there is, and end."""
    thread.start()
    thread.finish()
    assert thread.join(30)
    assert thread.status == stages.STOPPED


@pytest.mark.parametrize("kind", [Picky, PickyDelivery])
def test_only_the_records_at_fault_are_put_aside(bus: EmbeddedBus, kind: type[Picky]) -> None:
    picky = kind()
    run(StageThread("picky", lambda: picky, bus, pytest.fail))
    wanted = {str(number).encode() for number in range(RECORDS)} - set(POISON)
    assert sorted(picky.written) == sorted(wanted)
    assert put_aside(bus) == sorted(POISON)


@pytest.mark.parametrize("kind", [Picky, PickyDelivery])
@pytest.mark.parametrize("error", [BusUnavailable("not now"), OSError("no space left")])
def test_what_comes_right_by_itself_is_no_records_fault(bus: EmbeddedBus, kind: type[Picky], error: Exception) -> None:
    picky = kind()
    picky.failing = error
    thread = StageThread("picky", lambda: picky, bus, pytest.fail)
    thread.start()
    threading.Event().wait(0.3)
    thread.stop()
    assert thread.join(20)
    assert put_aside(bus) == []
    assert not set(picky.written) & set(POISON)


def test_a_plan_whose_records_have_left_the_log_is_passed(tmp_path: Path) -> None:
    bus = EmbeddedBus(tmp_path / "bus")
    picky = PickyDelivery()
    picky.topics = (POLICIES, OTLP_SPANS)
    bus.publish([Outgoing(POLICIES, "home", b"old")]).result(5)
    consumer = bus.consumer("picky", picky.topics)
    task = DeliveryTask(picky, consumer, lambda: True, lambda: None, PoisonLimit("g"))
    task._poll(500, 0.0)  # the plan is fixed, and then the process dies
    consumer.close()
    bus.publish([Outgoing(POLICIES, "home", b"new"), Outgoing(OTLP_SPANS, "", b"span")]).result(5)
    bus._retain()  # compaction: the record of the plan is no longer there
    run(StageThread("picky", lambda: picky, bus, pytest.fail))  # ends with the plan that holds nothing any more
    run(StageThread("picky", lambda: picky, bus, pytest.fail))
    assert picky.written == [b"new", b"span"]
    bus.close()


def record(topic: str, partition: int, offset: int) -> Record:
    return Record(topic, partition, offset, "", b"", {}, offset)


def offsets(plan: Plan) -> list[tuple[str, int, int]]:
    return [(topic, part, at) for topic, part, first, last in plan.ranges for at in range(first, last + 1)]


def test_the_halves_of_a_plan_hold_what_it_held() -> None:
    records = [record("a", 0, n) for n in range(3, 8)] + [record("a", 1, 9)] + [record("b", 0, n) for n in range(4)]
    whole = plan_of("g", records)
    early, late = halves(whole)
    assert offsets(early) + offsets(late) == offsets(whole)
    assert abs(len(offsets(early)) - len(offsets(late))) <= 1
    assert early.again
    assert late.again


def test_two_buses_never_give_the_store_the_same_token() -> None:
    records = [record("a", 0, 0)]
    assert plan_of("g", records).token != plan_of("g", records).token


class Sizing(Picky):
    """Writes down how large its batches are."""

    def handle(self, batch: Batch, state: State) -> Handled:
        return self.sized(batch)

    def sized(self, batch: Batch) -> Handled:
        """Write a batch's size down."""
        self.written.append(bytes(sum(len(record.value) for record in batch.records)))
        return Handled()


class SizingDelivery(Sizing):
    """The same, as a delivery."""

    def deliver(self, batch: Batch, token: str, again: bool) -> Handled:
        """Write it down."""
        return self.sized(batch)

    def close(self) -> None:
        """Nothing to let go of."""


@pytest.mark.parametrize(("kind", "batches"), [(Sizing, 4), (SizingDelivery, 1)])
def test_a_stage_takes_little_at_a_time_of_a_backlog_and_a_delivery_much(
    tmp_path: Path, kind: type[Picky], batches: int
) -> None:
    bus = EmbeddedBus(tmp_path)
    bus.publish([Outgoing(OTLP_SPANS, "", bytes(LARGEST_WORK_BYTES // 2)) for _ in range(8)]).result(5)
    sizing = kind()
    run(StageThread("sizing", lambda: sizing, bus, pytest.fail))
    bus.close()
    assert [len(one) for one in sizing.written if one] == [8 * LARGEST_WORK_BYTES // 2 // batches] * batches
