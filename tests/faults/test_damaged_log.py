"""A log that is damaged is said to be so, by name, and what of it can be read is saved; the rest is counted."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from collector.bus.embedded import EmbeddedBus
from collector.bus.log_errors import LogDamaged
from collector.bus.protocol import Consumer, Outgoing, StateChange
from collector.bus.salvage import NothingReadable, Salvage, damage_in, salvage
from collector.cli.main import app

RECORDS, VALUE_BYTES = 400, 6_000
PAGE_BYTES = 8_192


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a data dir with a bus that holds records, a group half way through them, and its state."""
    bus = EmbeddedBus(tmp_path / "bus")
    for number in range(0, RECORDS, 50):
        bus.publish([Outgoing("otlp_spans", str(number + n), os.urandom(VALUE_BYTES)) for n in range(50)]).result(10)
    consumer = bus.consumer("g", ["otlp_spans"])
    consumer.poll(max_records=100, timeout_seconds=1.0)
    consumer.commit(changes=[StateChange("s", "k", b"state")])
    consumer.close()
    bus.close()
    with sqlite3.connect(tmp_path / "bus" / "bus.sqlite") as log:
        log.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    log.close()
    return tmp_path


def log_of(folder: Path) -> Path:
    return folder / "bus" / "bus.sqlite"


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def spoil_middle(folder: Path) -> None:
    """Overwrite pages in the middle of the file, where records are."""
    pages = log_of(folder).stat().st_size // PAGE_BYTES
    for page in range(pages // 2, pages // 2 + 3):
        overwrite(log_of(folder), page * PAGE_BYTES, os.urandom(PAGE_BYTES))


def read_all(consumer: Consumer) -> list[str]:
    keys: list[str] = []
    while batch := consumer.poll(timeout_seconds=0.1).records:
        keys += [record.key for record in batch]
    return keys


def read_again(folder: Path) -> list[str]:
    bus = EmbeddedBus(folder / "bus")
    consumer = bus.consumer("another", ["otlp_spans"])
    keys = read_all(consumer)
    consumer.close()
    bus.close()
    return keys


def test_a_file_that_is_no_database_is_refused_with_what_to_do(folder: Path) -> None:
    overwrite(log_of(folder), 0, b"this is no database at all, not any more")
    with pytest.raises(LogDamaged, match=r"bus\.sqlite is damaged .*tracemend bus repair"):
        EmbeddedBus(folder / "bus")


def test_a_page_that_cannot_be_read_stops_its_reader_with_what_to_do(folder: Path) -> None:
    spoil_middle(folder)
    bus = EmbeddedBus(folder / "bus")
    consumer = bus.consumer("another", ["otlp_spans"])
    with pytest.raises(LogDamaged, match="tracemend bus repair"):
        read_all(consumer)
    consumer.close()
    bus.close()


def test_a_whole_log_has_no_damage(folder: Path) -> None:
    assert damage_in(log_of(folder)) == []


def test_what_can_be_read_is_saved_once_and_the_rest_is_counted(folder: Path) -> None:
    spoil_middle(folder)
    assert damage_in(log_of(folder))
    done = salvage(log_of(folder))
    spans = next(one for one in done.tables if one.table == "otlp_spans/0")
    keys = read_again(folder)
    assert damage_in(log_of(folder)) == []
    assert len(keys) == len(set(keys)) == spans.saved
    assert keys == sorted(keys, key=int)
    assert spans.lost is not None
    assert 0 < spans.lost <= RECORDS - spans.saved + RECORDS // 10
    assert spans.saved >= RECORDS * 0.9
    assert done.aside.exists()


def test_groups_go_on_where_they_were_and_offsets_do_not_begin_anew(folder: Path) -> None:
    spoil_middle(folder)
    salvage(log_of(folder))
    bus = EmbeddedBus(folder / "bus")
    consumer = bus.consumer("g", ["otlp_spans"])
    assert consumer.state.get("s", "k") == b"state"
    assert consumer.poll(max_records=1, timeout_seconds=1.0).records[0].offset == 100
    bus.publish([Outgoing("otlp_spans", "new", b"new")]).result(10)
    reader = bus.reader(["otlp_spans"])
    reader.seek("otlp_spans", 0, RECORDS)
    assert [record.key for record in reader.poll(timeout_seconds=1.0).records] == ["new"]
    for one in (consumer, reader):
        one.close()
    bus.close()


def test_a_truncated_file_gives_what_is_left_of_it(folder: Path) -> None:
    size = log_of(folder).stat().st_size
    os.truncate(log_of(folder), size * 3 // 4 // PAGE_BYTES * PAGE_BYTES)
    salvage(log_of(folder))
    keys = read_again(folder)
    assert len(set(keys)) == len(keys) > RECORDS // 3


def root_page_of(folder: Path, table: str) -> int:
    log = sqlite3.connect(log_of(folder))
    (page,) = log.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    log.close()
    return int(page)


def spoil_page(folder: Path, page: int) -> None:
    overwrite(log_of(folder), (page - 1) * PAGE_BYTES, os.urandom(PAGE_BYTES))


def lost_of(done: Salvage) -> dict[str, int | None]:
    return {one.table: one.lost for one in done.tables if one.lost != 0}


def test_records_are_found_without_the_table_that_says_where_partitions_end(folder: Path) -> None:
    spoil_page(folder, root_page_of(folder, "heads"))
    done = salvage(log_of(folder))
    assert len(read_again(folder)) == RECORDS
    assert lost_of(done)["heads"] is None
    assert not done.is_whole
    bus = EmbeddedBus(folder / "bus")
    bus.publish([Outgoing("otlp_spans", "new", b"new")]).result(10)
    bus.close()
    assert read_again(folder)[-1] == "new"


@pytest.mark.parametrize("table", ["offsets", "state", "groups", "meta"])
def test_a_small_table_that_cannot_be_read_is_told(folder: Path, table: str) -> None:
    spoil_page(folder, root_page_of(folder, table))
    done = salvage(log_of(folder))
    assert lost_of(done)[table] is None
    assert len(read_again(folder)) == RECORDS


@pytest.mark.parametrize("length", [16, 100])
def test_a_header_that_was_overwritten_costs_no_record(folder: Path, length: int) -> None:
    overwrite(log_of(folder), 0, bytes(length))
    done = salvage(log_of(folder))
    assert len(read_again(folder)) == RECORDS
    assert lost_of(done) == {}


def test_where_not_even_the_list_of_tables_can_be_read_nothing_is_changed(folder: Path) -> None:
    spoil_page(folder, 1)
    before = {path.name: path.read_bytes() for path in (folder / "bus").iterdir() if path.is_file()}
    with pytest.raises(NothingReadable):
        salvage(log_of(folder))
    assert {path.name: path.read_bytes() for path in (folder / "bus").iterdir() if path.is_file()} == before
    repaired = CliRunner().invoke(app, ["bus", "repair", "--data-dir", str(folder)])
    assert (repaired.exit_code, "left as it is" in repaired.output) == (1, True)


@pytest.mark.parametrize("spoil", [spoil_middle, lambda folder: os.truncate(log_of(folder), 100 * PAGE_BYTES)])
def test_the_damaged_file_is_kept_byte_for_byte(folder: Path, spoil: Callable[[Path], None]) -> None:
    spoil(folder)
    before = log_of(folder).read_bytes()
    done = salvage(log_of(folder))
    assert done.aside.read_bytes() == before
    assert {path.name for path in (folder / "bus").glob("bus.sqlite.*")} == {done.aside.name}


def test_a_log_with_records_in_its_write_ahead_log_keeps_them(folder: Path) -> None:
    log = sqlite3.connect(log_of(folder), isolation_level=None)
    log.execute("UPDATE log_otlp_spans_0 SET key = 'changed' WHERE offset = 0")
    kept = (log_of(folder).read_bytes(), log_of(folder).with_name("bus.sqlite-wal").read_bytes())
    log.close()  # which plays the write-ahead log into the file: as a kill leaves them they are put back
    log_of(folder).write_bytes(kept[0])
    log_of(folder).with_name("bus.sqlite-wal").write_bytes(kept[1])
    salvage(log_of(folder))
    assert read_again(folder)[0] == "changed"


def test_garbage_in_the_write_ahead_log_is_passed_over(folder: Path) -> None:
    log_of(folder).with_name("bus.sqlite-wal").write_bytes(os.urandom(50_000))
    assert len(read_again(folder)) == RECORDS


def test_the_command_checks_repairs_and_checks_again(folder: Path) -> None:
    run = CliRunner().invoke
    where = ["--data-dir", str(folder)]
    assert run(app, ["bus", "check", *where]).exit_code == 0
    spoil_middle(folder)
    assert run(app, ["bus", "check", *where]).exit_code == 1
    repaired = run(app, ["bus", "repair", *where, "--format", "json"])
    assert repaired.exit_code == 1  # something was lost
    assert '"otlp_spans/0"' in repaired.output
    assert run(app, ["bus", "check", *where]).exit_code == 0


def test_the_check_counts_what_each_topic_holds(folder: Path) -> None:
    told = CliRunner().invoke(app, ["bus", "check", "--data-dir", str(folder), "--format", "json"])
    topics = {row["topic"]: row for row in json.loads(told.stdout)}
    spans = topics["otlp_spans"]
    assert (told.exit_code, spans["records"], spans["bytes"]) == (0, RECORDS, RECORDS * VALUE_BYTES)
    assert 0 < spans["oldest_ns"] <= spans["newest_ns"] <= time.time_ns()
    assert (topics["detections"]["records"], topics["detections"]["oldest_ns"]) == (0, None)
    shown = CliRunner().invoke(app, ["bus", "check", "--data-dir", str(folder)]).stdout
    assert f"{RECORDS * VALUE_BYTES:,}" in shown


def test_a_topic_that_cannot_be_counted_is_said_to_be_so(folder: Path) -> None:
    spoil_page(folder, root_page_of(folder, "log_otlp_spans_0"))
    told = CliRunner().invoke(app, ["bus", "check", "--data-dir", str(folder), "--format", "jsonl"])
    rows = [json.loads(line) for line in told.stdout.splitlines()]
    assert told.exit_code == 1
    assert any("damage" in row for row in rows)
    assert {row["topic"]: row["records"] for row in rows if "topic" in row}["otlp_spans"] is None
