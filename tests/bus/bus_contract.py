"""What every bus must do; `test_embedded_bus` runs it, and every later bus will."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from collector.bus import protocol
from collector.bus.protocol import Bus, Fenced, Outgoing, StateChange
from schemas.metrics import STATE_DROPPED

OpenBus = Callable[[], Bus]


def records(*values: bytes, key: str = "k", topic: str = "usage") -> list[Outgoing]:
    return [Outgoing(topic, key, value, {"tenant": b"t"}) for value in values]


def read_all(bus: Bus, group: str, topic: str = "usage") -> list[bytes]:
    consumer = bus.consumer(group, [topic])
    batch = consumer.poll(10_000, timeout_seconds=1.0)
    consumer.close()
    return [record.value for record in batch.records]


class BusContract:
    """Subclasses give `open_bus`, a fixture: a function that opens the same bus each time."""

    def test_what_was_published_is_read_in_order_with_key_headers_and_offsets(self, open_bus: OpenBus) -> None:
        bus = open_bus()
        bus.publish(records(b"a", b"b" * 10_000, b"c")).result(5)
        batch = bus.consumer("g", ["usage"]).poll(timeout_seconds=1.0)
        assert [record.value for record in batch.records] == [b"a", b"b" * 10_000, b"c"]
        assert [record.offset for record in batch.records] == [0, 1, 2]
        assert {record.key for record in batch.records} == {"k"}
        assert all(record.headers == {"tenant": b"t"} for record in batch.records)
        assert batch.now_ns >= max(record.append_ns for record in batch.records)
        bus.close()

    def test_an_acknowledged_record_is_there_after_reopening(self, open_bus: OpenBus) -> None:
        bus = open_bus()
        bus.publish(records(b"kept")).result(5)
        bus.close()
        bus = open_bus()
        assert read_all(bus, "g") == [b"kept"]
        bus.close()

    def test_groups_read_independently_and_each_goes_on_where_it_committed(self, open_bus: OpenBus) -> None:
        bus = open_bus()
        bus.publish(records(b"1", b"2", b"3")).result(5)
        one = bus.consumer("one", ["usage"])
        one.poll(2, timeout_seconds=1.0)
        one.commit()
        one.close()
        assert read_all(bus, "one") == [b"3"]
        assert read_all(bus, "two") == [b"1", b"2", b"3"]
        bus.close()

    def test_outputs_state_and_offsets_commit_together(self, open_bus: OpenBus) -> None:
        bus = open_bus()
        bus.publish(records(b"in")).result(5)
        consumer = bus.consumer("g", ["usage"])
        consumer.poll(timeout_seconds=1.0)
        assert consumer.state.get("s", "k") is None
        consumer.commit(records(b"out", topic="detections"), [StateChange("s", "k", b"v", due_ns=7)])
        assert consumer.state.get("s", "k") == b"v"
        assert list(consumer.state.scan("s")) == [("k", b"v")]
        assert list(consumer.state.due("s", 7, 10)) == ["k"]
        assert list(consumer.state.due("s", 6, 10)) == []
        assert consumer.state.count("s") == 1
        assert not consumer.poll(timeout_seconds=0.05).records
        assert read_all(bus, "other", "detections") == [b"out"]
        bus.close()

    def test_what_was_not_committed_is_read_again_after_a_rewind(self, open_bus: OpenBus) -> None:
        bus = open_bus()
        bus.publish(records(b"1", b"2")).result(5)
        consumer = bus.consumer("g", ["usage"])
        assert len(consumer.poll(timeout_seconds=1.0).records) == 2
        consumer.rewind()
        assert len(consumer.poll(timeout_seconds=1.0).records) == 2
        bus.close()

    def test_any_offset_can_be_replayed(self, open_bus: OpenBus) -> None:
        bus = open_bus()
        bus.publish(records(b"1", b"2", b"3")).result(5)
        consumer = bus.consumer("g", ["usage"])
        consumer.poll(timeout_seconds=1.0)
        consumer.commit()
        consumer.seek("usage", 0, 1)
        assert [record.value for record in consumer.poll(timeout_seconds=1.0).records] == [b"2", b"3"]
        bus.close()

    def test_a_deleted_key_is_gone(self, open_bus: OpenBus) -> None:
        bus = open_bus()
        consumer = bus.consumer("g", ["usage"])
        consumer.commit(changes=[StateChange("s", "a", b"1"), StateChange("s", "b", b"2")])
        consumer.commit(changes=[StateChange("s", "a", None)])
        assert list(consumer.state.scan("s")) == [("b", b"2")]
        bus.close()

    def test_state_belongs_to_its_group(self, open_bus: OpenBus) -> None:
        bus = open_bus()
        one, two = bus.consumer("one", ["usage"]), bus.consumer("two", ["usage"])
        one.commit(changes=[StateChange("s", "k", b"1")])
        assert two.state.get("s", "k") is None
        bus.close()

    def test_an_older_member_of_a_group_is_fenced(self, open_bus: OpenBus) -> None:
        bus = open_bus()
        old = bus.consumer("g", ["usage"])
        new = bus.consumer("g", ["usage"])
        with pytest.raises(Fenced):
            old.commit(records(b"zombie"))
        new.commit(records(b"fine"))
        assert read_all(bus, "reader") == [b"fine"]
        bus.close()

    def test_time_never_goes_back_and_waits_for_the_backlog(self, open_bus: OpenBus) -> None:
        bus = open_bus()
        bus.publish(records(b"1", b"2")).result(5)
        bus.publish(records(b"3")).result(5)
        consumer = bus.consumer("g", ["usage"])
        first, second = consumer.poll(1, timeout_seconds=1.0), consumer.poll(10, timeout_seconds=1.0)
        assert first.now_ns == first.records[-1].append_ns
        assert second.now_ns >= second.records[-1].append_ns >= first.now_ns
        bus.close()

    def test_a_reader_sees_what_comes_after_it_or_goes_back_to_an_offset(self, open_bus: OpenBus) -> None:
        bus = open_bus()
        bus.publish(records(b"before")).result(5)
        reader = bus.reader(["usage"])
        bus.publish(records(b"after")).result(5)
        assert [record.value for record in reader.poll(timeout_seconds=1.0).records] == [b"after"]
        reader.seek("usage", 0, 0)
        assert [record.value for record in reader.poll(timeout_seconds=1.0).records] == [b"before", b"after"]
        bus.close()

    def test_state_that_another_version_wrote_is_dropped_and_counted(
        self, open_bus: OpenBus, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as before:
            before.setattr(protocol, "STATE_VERSION", protocol.STATE_VERSION - 1)
            commit_state(open_bus(), "old")
        dropped = STATE_DROPPED.labels(stage="g")._value.get()
        bus = open_bus()
        assert bus.consumer("g", ["usage"]).state.count("s") == 0
        assert STATE_DROPPED.labels(stage="g")._value.get() == dropped + 1
        commit_state(bus, "new")
        bus = open_bus()
        assert list(bus.consumer("g", ["usage"]).state.scan("s")) == [("new", b"v")]
        bus.close()

    def test_lag_counts_what_is_not_committed(self, open_bus: OpenBus) -> None:
        bus = open_bus()
        bus.publish(records(b"1", b"2", b"3")).result(5)
        consumer = bus.consumer("g", ["usage"])
        consumer.poll(2, timeout_seconds=1.0)
        consumer.commit()
        assert consumer.lag() == {"usage": 1}
        bus.close()


def commit_state(bus: Bus, key: str) -> None:
    """Commit one key, and close the bus."""
    bus.consumer("g", ["usage"]).commit(changes=[StateChange("s", key, b"v")])
    bus.close()


def keys_by_partition(batch_records: Sequence[object]) -> dict[int, set[str]]:
    """Group keys by the partition they came from."""
    grouped: dict[int, set[str]] = {}
    for record in batch_records:
        grouped.setdefault(record.partition, set()).add(record.key)  # type: ignore[attr-defined]
    return grouped
