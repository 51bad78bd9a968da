"""The embedded bus: the contract of every bus, and what is its own (one file, retention, kill -9)."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bus_contract import BusContract, OpenBus, keys_by_partition, read_all, records
from cramjam import zstd

from collector.bus import embedded
from collector.bus.backlog import Backlog
from collector.bus.drain_rate import LEAST_BYTES_A_SECOND
from collector.bus.embedded import EmbeddedBus
from collector.bus.protocol import BusUnavailable, Outgoing
from schemas.topics import POLICIES, Topic

WRITER = """
import sys, pathlib
from collector.bus.backlog import Backlog
from collector.bus.drain_rate import LEAST_BYTES_A_SECOND
from collector.bus.embedded import EmbeddedBus
from collector.bus.protocol import Outgoing
bus = EmbeddedBus(pathlib.Path(sys.argv[1]))
number = 0
while True:
    bus.publish([Outgoing("usage", "k", str(number).encode())]).result()
    print(number, flush=True)
    number += 1
"""


@pytest.fixture
def open_bus(tmp_path: Path) -> OpenBus:
    return lambda: EmbeddedBus(tmp_path / "bus")


def eventually(holds: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Say whether something the writer thread does in its own time comes true."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(0.01)
    return True


class TestEmbeddedBus(BusContract):
    """The embedded bus is a bus."""


def test_records_of_one_key_stay_on_one_partition(tmp_path: Path) -> None:
    bus = EmbeddedBus(tmp_path, partitions=4)
    keys = [f"tenant/{number}" for number in range(40)]
    bus.publish([Outgoing("usage", key, b"v") for key in keys * 2]).result(5)
    by_partition = keys_by_partition(bus.consumer("g", ["usage"]).poll(timeout_seconds=1.0).records)
    assert sorted(key for held in by_partition.values() for key in held) == sorted(keys)
    assert len(by_partition) == 4
    bus.close()


def test_the_number_of_partitions_of_a_topic_is_fixed_for_its_life(tmp_path: Path) -> None:
    EmbeddedBus(tmp_path, partitions=3).close()
    bus = EmbeddedBus(tmp_path, partitions=5)
    assert bus.partitions("usage") == 3
    bus.close()


def test_another_process_killed_while_writing_loses_nothing_it_was_told_is_safe(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    acknowledged = _read_lines(process, 50)
    process.send_signal(signal.SIGKILL)
    process.wait()
    bus = EmbeddedBus(tmp_path)
    kept = read_all(bus, "g")
    assert kept[:50] == [str(number).encode() for number in range(50)]
    assert acknowledged == [str(number) for number in range(50)]
    assert len(set(kept)) == len(kept)
    bus.close()


def _read_lines(process: subprocess.Popen[str], count: int) -> list[str]:
    lines: Iterator[str] = iter(process.stdout or ())
    return [next(lines).strip() for _ in range(count)]


def test_a_full_bus_refuses_with_a_delay_until_its_readers_caught_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "RETENTION_EVERY_SECONDS", 0.01)
    bus = EmbeddedBus(tmp_path, max_bytes=2_000)
    consumer = bus.consumer("g", ["usage"])
    bus.publish(records(os.urandom(5_000))).result(5)
    with pytest.raises(BusUnavailable) as refused:
        bus.publish(records(b"x")).result(5)
    assert refused.value.retry_after_seconds > 0
    assert len(consumer.poll(timeout_seconds=1.0).records) >= 1
    consumer.commit()
    assert eventually(lambda: bus.held_bytes() <= 2_000)
    bus.publish(records(b"fits again")).result(5)
    bus.close()


def test_a_compacted_topic_keeps_the_last_record_of_each_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "RETENTION_EVERY_SECONDS", 0.01)
    bus = EmbeddedBus(tmp_path, topics=[Topic(POLICIES, 0, compacted=True)])
    for value in (b"1", b"2", b"3"):
        bus.publish([Outgoing(POLICIES, "a", value), Outgoing(POLICIES, "b", value)]).result(5)
    assert eventually(lambda: read_all(bus, "reader", POLICIES) == [b"3", b"3"])
    bus.close()


def test_records_nobody_has_read_survive_their_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "RETENTION_EVERY_SECONDS", 0.01)
    bus = EmbeddedBus(tmp_path, topics=[Topic("usage", 0)])
    reader = bus.consumer("slow", ["usage"])
    bus.publish(records(b"1", b"2")).result(5)
    for _ in range(5):
        bus.publish(records(b"more")).result(5)
    assert [record.value for record in reader.poll(timeout_seconds=1.0).records][:2] == [b"1", b"2"]
    bus.close()


def test_the_backlog_is_what_the_slowest_reader_has_still_to_read(tmp_path: Path) -> None:
    bus = EmbeddedBus(tmp_path)
    quick, slow = bus.consumer("quick", ["otlp_spans"]), bus.consumer("slow", ["otlp_spans"])
    assert bus.backlog_bytes() == 0
    for _ in range(4):
        bus.publish([Outgoing("otlp_spans", "", os.urandom(10_000))]).result(5)
    whole = bus.backlog_bytes()
    assert whole == bus.held_bytes() >= 40_000
    quick.poll(timeout_seconds=1.0)
    quick.commit()
    assert bus.backlog_bytes() == whole
    slow.poll(max_records=2, timeout_seconds=1.0)
    slow.commit()
    assert bus.backlog_bytes() == whole // 2
    bus.close()


def test_how_fast_the_backlog_is_read_is_measured_from_look_to_look(tmp_path: Path) -> None:
    now = [0.0]
    bus = EmbeddedBus(tmp_path)
    reader = bus.consumer("g", ["otlp_spans"])
    for _ in range(40):
        bus.publish([Outgoing("otlp_spans", "", os.urandom(100_000))]).result(5)
    backlog = Backlog(tmp_path / "bus.sqlite", lambda: now[0])
    for _ in range(30):
        assert backlog.unread_bytes(["g"]) > 0
        reader.poll(max_records=1, timeout_seconds=1.0)
        reader.commit()
        now[0] += 1.0
    assert backlog.drained_bytes_a_second() == LEAST_BYTES_A_SECOND
    backlog.close()
    bus.close()


def test_what_waits_for_the_writer_is_bounded_in_bytes(tmp_path: Path) -> None:
    bus = EmbeddedBus(tmp_path, queue_bytes=50_000)
    with sqlite3.connect(tmp_path / "bus.sqlite", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")  # the writer waits
        waiting = [bus.publish([Outgoing("usage", "", bytes(30_000))]) for _ in range(6)]
        refused = [one for one in waiting if one.done()]
        assert refused
        with pytest.raises(BusUnavailable, match="wait to be written"):
            refused[0].result(0)
        other.execute("ROLLBACK")
    other.close()
    for one in waiting:
        if one not in refused:
            one.result(20)
    bus.publish([Outgoing("usage", "", bytes(30_000))]).result(20)
    bus.close()


def test_records_that_a_version_before_packed_with_zstd_are_read(tmp_path: Path) -> None:
    bus = EmbeddedBus(tmp_path)
    bus.publish(records(b"newer")).result(5)
    bus.close()
    value = b"older " * 200
    with sqlite3.connect(tmp_path / "bus.sqlite") as log:
        log.execute("UPDATE log_usage_0 SET codec = 1, value = ?", (bytes(zstd.compress(value)),))
    log.close()
    bus = EmbeddedBus(tmp_path)
    read = bus.consumer("g", ["usage"]).poll(timeout_seconds=1.0).records
    bus.close()
    assert [record.value for record in read] == [value]
