"""Several processes on one embedded bus: whoever appends wakes the readers of all, and nobody deletes another's."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from collector.bus.embedded import EmbeddedBus
from collector.bus.protocol import Outgoing
from collector.bus.wakeups import WakeUps
from schemas.topics import Topic

FAR_SECONDS = 60.0
APPENDS = """
import sys
from pathlib import Path
from collector.bus.embedded import EmbeddedBus
from collector.bus.protocol import Outgoing
bus = EmbeddedBus(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    bus.publish([Outgoing("usage", "k", str(number).encode())]).result(30)
bus.close()
"""


def append_elsewhere(folder: Path, count: int) -> None:
    subprocess.run([sys.executable, "-c", APPENDS, str(folder), str(count)], check=True, timeout=60)


def test_an_append_elsewhere_wakes_a_reader_that_waits(tmp_path: Path) -> None:
    woken = threading.Event()
    (tmp_path / "bus").mkdir()
    wakes = WakeUps(tmp_path / "bus" / "wake", woken.set)
    wakes.listen()
    append_elsewhere(tmp_path / "bus", 1)
    assert woken.wait(FAR_SECONDS)
    wakes.close()


def test_a_pipe_that_nobody_reads_any_more_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "wake" / "4711-dead"
    left.parent.mkdir()
    os.mkfifo(left)
    woken = threading.Event()
    listening, announcing = (WakeUps(left.parent, woken.set) for _ in range(2))
    listening.listen()
    announcing.announce()
    assert woken.wait(FAR_SECONDS)
    assert not left.exists()
    listening.close()
    announcing.announce()
    announcing.close()
    assert list(left.parent.iterdir()) == []


def test_processes_that_append_at_once_each_keep_all_of_theirs(tmp_path: Path) -> None:
    folder = tmp_path / "bus"
    bus = EmbeddedBus(folder)
    writers = [threading.Thread(target=append_elsewhere, args=(folder, 100)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for number in range(100):
        bus.publish([Outgoing("usage", "k", str(number).encode())]).result(30)
    for writer in writers:
        writer.join()
    records = bus.consumer("g", ["usage"]).poll(1_000, timeout_seconds=1.0).records
    assert [record.offset for record in records] == list(range(400))
    assert sorted(record.value for record in records) == sorted(str(n).encode() for n in range(100) for _ in range(4))
    bus.close()


def test_retention_waits_for_the_groups_of_other_processes(tmp_path: Path) -> None:
    topics = (Topic("usage", 0),)
    bus = EmbeddedBus(tmp_path / "bus", topics=topics, readers=["here", "elsewhere"])
    for group in ("here", "elsewhere"):
        bus.consumer(group, ["usage"]).close()
    bus.publish([Outgoing("usage", "k", b"v")]).result(30)
    here, elsewhere = (bus.consumer(group, ["usage"]) for group in ("here", "elsewhere"))
    here.poll()
    here.commit()
    bus._retain()
    assert len(elsewhere.poll().records) == 1
    elsewhere.commit()
    bus._retain()
    late = bus.consumer("late", ["usage"])
    assert late.poll(timeout_seconds=0.0).records == []
    bus.close()


def test_who_is_not_to_retain_removes_nothing(tmp_path: Path) -> None:
    bus = EmbeddedBus(tmp_path / "bus", topics=(Topic("usage", 0),), max_bytes=1, readers=[])
    bus.publish([Outgoing("usage", "k", b"more than a byte")]).result(30)
    bus.publish([Outgoing("usage", "k", b"refused")]).exception(30)
    assert len(bus.consumer("g", ["usage"]).poll(timeout_seconds=0.0).records) == 1
    bus.close()


def test_room_is_made_again_while_nothing_is_taken_for_want_of_it(tmp_path: Path) -> None:
    bus = EmbeddedBus(tmp_path / "bus", topics=(Topic("usage", 86_400),), max_bytes=1, readers=["elsewhere"])
    elsewhere = EmbeddedBus(tmp_path / "bus", topics=(Topic("usage", 86_400),), readers=[])
    reading = elsewhere.consumer("elsewhere", ["usage"])
    bus.publish([Outgoing("usage", "k", b"more than a byte")]).result(30)
    assert bus.publish([Outgoing("usage", "k", b"refused")]).exception(30)
    assert len(reading.poll().records) == 1
    reading.commit()
    deadline = time.monotonic() + FAR_SECONDS
    while bus.held_bytes() and time.monotonic() < deadline:
        time.sleep(0.02)
    bus.publish([Outgoing("usage", "k", b"taken")]).result(30)
    elsewhere.close()
    bus.close()
