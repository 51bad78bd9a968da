"""Dead letters are listed with what is known of them, and put back byte for byte for the stage that failed, only."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from kafka_broker import Broker
from kafka_buses import make_topics, open_kafka_bus
from pipeline_process import PipelineProcess

from collector.bus.dead_letters import VALUE_LIMIT_BYTES, dead_letter
from collector.bus.embedded import EmbeddedBus
from collector.bus.kafka_connection import KafkaConnection
from collector.bus.letters import Letter, letters, put_back, why_not
from collector.bus.protocol import Batch, Bus, Handled, Outgoing, Record, State
from collector.stages import STOPPED, StageThread
from schemas.topics import DEAD_LETTERS, OTLP_SPANS, USAGE

COMMAND = [sys.executable, "-m", "collector.cli.main", "dead-letters"]
POISON = Outgoing(USAGE, "default", b"poison", {"tenant": b"acme", "content-hash": b"0123"})
FINE = Outgoing(USAGE, "default", b"fine")


class Stage:
    """Reads `usage`; cannot handle what is poison to it."""

    topics: Sequence[str] = (USAGE,)

    def __init__(self, group: str, poison: bytes = b"") -> None:
        self.group = group
        self.seen: list[Record] = []
        self._poison = poison

    def restore(self, state: State) -> None:
        """Nothing is kept."""

    def handle(self, batch: Batch, state: State) -> Handled:
        bad = [record for record in batch.records if record.value == self._poison]
        self.seen += [record for record in batch.records if record.value != self._poison]
        return Handled([dead_letter(record, ValueError("cannot be read"), self.group) for record in bad])


def run(stage: Stage, bus: Bus) -> list[bytes]:
    """Let a stage read up to a record that is fine, and end."""
    thread = StageThread(stage.group, lambda: stage, bus, pytest.fail)
    thread.start()
    deadline = time.monotonic() + 90
    while b"fine" not in [record.value for record in stage.seen]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    thread.stop()
    assert thread.join(60)
    assert thread.status == STOPPED
    return [record.value for record in stage.seen]


@pytest.fixture(params=["embedded", "kafka"])
def bus(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bus]:
    opened: Bus
    if request.param == "embedded":
        opened = EmbeddedBus(tmp_path / "bus")
    else:
        kafka: Broker = request.getfixturevalue("kafka")
        prefix: str = request.getfixturevalue("topic_prefix")
        make_topics(KafkaConnection(kafka.bootstrap, prefix))
        opened = open_kafka_bus(kafka.bootstrap, prefix)
    yield opened
    opened.close()


def dead(bus: Bus) -> list[Letter]:
    return list(letters(bus, 3.0))


@pytest.mark.timeout(240)
def test_a_record_goes_back_as_it_was_to_the_stage_that_failed_and_no_other(bus: Bus) -> None:
    bus.publish([POISON, FINE]).result(30)
    assert run(Stage("one", POISON.value), bus) == [b"fine"]
    assert run(Stage("two"), bus) == [b"poison", b"fine"]
    (letter,) = dead(bus)
    assert (letter.topic, letter.partition, letter.offset, letter.size) == (USAGE, 0, 0, 6)
    assert (letter.stage, letter.error_class, letter.error_text) == ("one", "ValueError", "cannot be read")
    assert why_not(letter, bus) == ""
    bus.publish([put_back(letter, 7), FINE]).result(30)
    mended, other = Stage("one"), Stage("two")
    assert run(mended, bus) == [b"poison", b"fine"]
    assert run(other, bus) == [b"fine"]
    again = mended.seen[0]
    assert (again.key, again.value, again.partition) == (POISON.key, POISON.value, 0)
    assert {name: again.headers[name] for name in POISON.headers} == POISON.headers
    assert set(again.headers) - set(POISON.headers) == {"replay", "replay-for"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"original-size": b"2000000"}, "it was cut: 6 of 2000000 bytes are kept"),
        ({"original-topic": b"elsewhere"}, "none of ours"),
        ({"original-topic": b""}, "none of ours"),
        ({"original-topic": DEAD_LETTERS.encode()}, "a dead letter that could not be handled itself"),
        ({"original-partition": b"99"}, "has no partition 99"),
        ({"original-partition": b"-1"}, "has no partition -1"),
        ({"original-partition": "²".encode()}, "has no partition -1"),
    ],
)
def test_what_cannot_go_back_is_told_why(tmp_path: Path, change: dict[str, bytes], reason: str) -> None:
    bus = EmbeddedBus(tmp_path / "bus")
    letter = dead_letter(Record(USAGE, 0, 5, "default", b"poison", {}, 1), ValueError("x"), "one")
    bus.publish([letter._replace(headers={**letter.headers, **change})]).result(5)
    (found,) = dead(bus)
    assert reason in why_not(found, bus)
    bus.close()


def test_any_record_on_the_topic_is_listed_whoever_wrote_it(tmp_path: Path) -> None:
    bus = EmbeddedBus(tmp_path / "bus")
    bus.publish([Outgoing(DEAD_LETTERS, "", b"\xff", {"stage": b"\xff\x1b[2J", "original-offset": b"x"})]).result(5)
    bus.close()
    done = tracemend(tmp_path, "list")
    assert done.returncode == 0
    assert "dead_letters/0/0" in done.stdout
    assert "\x1b" not in done.stdout


def tracemend(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *arguments, "--data-dir", str(data_dir)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)


@pytest.fixture
def some_letters(tmp_path: Path) -> Path:
    bus = EmbeddedBus(tmp_path / "bus")
    large = b"x" * (VALUE_LIMIT_BYTES + 1)
    for offset, (topic, value, stage) in enumerate(
        [(OTLP_SPANS, b"a", "normaliser"), (OTLP_SPANS, b"b", "sinks/clickhouse"), (USAGE, large, "spend")]
    ):
        record = Record(topic, 0, offset, "k", value, {}, 1)
        bus.publish([dead_letter(record, ValueError("no"), stage)]).result(5)
    bus.close()
    return tmp_path


def put_back_on(data_dir: Path, topic: str) -> list[bytes]:
    bus = EmbeddedBus(data_dir / "bus")
    reader = bus.reader([topic])
    reader.seek(topic, 0, 0)
    values = [record.value for record in reader.poll(timeout_seconds=0.0).records]
    reader.close()
    bus.close()
    return values


def test_they_are_narrowed_down_and_written_for_programs(some_letters: Path) -> None:
    def listed(*options: str) -> list[str]:
        done = tracemend(some_letters, "list", "--format", "jsonl", *options)
        assert done.returncode == 0, done.stderr
        return [json.loads(line)["stage"] for line in done.stdout.splitlines()]

    assert listed() == ["normaliser", "sinks/clickhouse", "spend"]
    assert listed("--topic", OTLP_SPANS) == ["normaliser", "sinks/clickhouse"]
    assert listed("--stage", "spend", "--since", "1h") == ["spend"]
    assert listed("--since", "2999-01-01T00:00:00Z") == listed("--error", "KeyError") == []
    (large,) = map(
        json.loads, tracemend(some_letters, "list", "--topic", USAGE, "--format", "jsonl").stdout.splitlines()
    )
    assert (large["size"], large["kept"]) == (VALUE_LIMIT_BYTES + 1, VALUE_LIMIT_BYTES)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["0/0", "--yes"], 0, "1 put back, 0 not"),
        (["dead_letters/0/0", "0/1", "--yes"], 0, "2 put back, 0 not"),
        (["--topic", OTLP_SPANS, "--stage", "normaliser", "--yes"], 0, "1 put back, 0 not"),
        (["--since", "1h", "--yes"], 1, "it was cut: 1000000 of 1000001 bytes are kept"),
        (["0/99", "--yes"], 2, "there is no dead letter dead_letters/0/99"),
        (["0/0"], 2, "give --yes"),
        (["--topic", "otlp_span", "--yes"], 2, "there is no topic 'otlp_span'"),
        ([], 2, "say which"),
    ],
)
def test_replay_says_what_it_did_and_why_not(some_letters: Path, arguments: list[str], status: int, said: str) -> None:
    done = tracemend(some_letters, "replay", *arguments)
    assert (done.returncode, said in done.stdout + done.stderr) == (status, True), done
    wanted = {0: 1, 1: 2}.get(status, 0) + ("0/1" in arguments)
    assert len(put_back_on(some_letters, OTLP_SPANS)) == wanted


def test_a_data_dir_in_which_nothing_ran_has_none_and_is_not_made(tmp_path: Path) -> None:
    assert tracemend(tmp_path / "none", "list", "--format", "jsonl").stdout == ""
    assert not (tmp_path / "none").exists()


def test_beside_a_running_pipeline_a_replay_is_no_repeat_and_reaches_one_stage(tmp_path: Path) -> None:
    running = PipelineProcess(tmp_path / "data")
    try:
        running.start()
        bus = EmbeddedBus(running.data_dir / "bus", readers=())
        bus.publish([Outgoing(OTLP_SPANS, "", b"\xffnot spans", {"content-hash": b"0123"})]).result(30)
        bus.close()
        assert by_stage(running) == {"normaliser": 1, "sinks/clickhouse": 1}
        assert "1 put back" in running.run("dead-letters", "replay", "--stage", "normaliser", "--yes")
        assert by_stage(running) == {"normaliser": 2, "sinks/clickhouse": 1}
    finally:
        running.kill_if_running()


def by_stage(running: PipelineProcess) -> dict[str, int]:
    running.settle()
    lines = running.run("dead-letters", "list", "--format", "jsonl").splitlines()
    stages: list[Any] = [json.loads(line)["stage"] for line in lines]
    return {stage: stages.count(stage) for stage in stages}
