"""What surrounds the measuring: targets have a direction, runs are kept, and processor time is that of the process."""

from __future__ import annotations

import os
import time
from pathlib import Path

from . import history, report
from .receiving_servers import Server
from .targets import TARGETS, at_least, at_most

NAMED = next(iter(TARGETS))


def test_a_target_has_a_direction() -> None:
    assert at_least(10).met(10)
    assert not at_least(10).met(9)
    assert at_most(10).met(10)
    assert not at_most(10).met(11)


def test_a_run_is_compared_with_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "machine" / "runs.jsonl"
    assert history.latest(file) == {}
    history.append(file, [(NAMED, 1.0, "spans/CPU-s"), ("something", 5.0, "ms")])
    history.append(file, [(NAMED, 2.0, "spans/CPU-s")])
    assert history.latest(file) == {NAMED: 2.0, "something": 5.0}


def test_a_report_says_what_is_not_as_it_is_to_be() -> None:
    said = report.as_json("a machine", [(NAMED, 1.0, "spans/CPU-s")], {NAMED: 2.0})
    assert '"met": false' in said
    assert '"before": 2.0' in said


def test_processor_time_is_read_of_another_process_as_it_reads_its_own() -> None:
    before = time.process_time()
    seen = Server(os.getpid(), "", "").cpu_seconds()
    assert before <= seen <= time.process_time()
