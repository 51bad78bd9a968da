"""Folders that cannot be written: a file in their place, somebody else's, read-only; at the start, while it runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from pipeline_process import PipelineProcess
from recorded_requests import requests, span_count

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform != "linux", reason="rights are taken as Linux lets one take them"),
]
JUDGE_IS_OFF = "the LLM judge is off"
"""What every start without a key for it says."""
WITHOUT_OVERRIDE = (sys.executable, str(Path(__file__).with_name("without_override.py")))
SOMEBODY_ELSE = 65_534


def refusal(data_dir: Path, under: Sequence[str] = WITHOUT_OVERRIDE, *settings: str) -> str:
    """Start it, see it end with 1, and give the one line it says."""
    pipeline = PipelineProcess(data_dir, *settings, under=under)
    try:
        with pytest.raises(RuntimeError, match="exited with 1:"):
            pipeline.start()
    finally:
        pipeline.kill_if_running()
    said = [line for line in pipeline.log().splitlines() if line != "draining" and not line.startswith(JUDGE_IS_OFF)]
    assert len(said) == 1, said
    assert said[0].startswith("tracemend: ")
    return said[0]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Give a data dir that has been used, so that everything in it is there."""
    pipeline = PipelineProcess(tmp_path / "data").start()
    try:
        assert pipeline.stop() == 0
    finally:
        pipeline.kill_if_running()
    (tmp_path / "data.log").unlink()
    return tmp_path / "data"


@pytest.mark.parametrize("folder", ["", "bus", "store"])
def test_a_file_where_a_folder_is_needed(tmp_path: Path, folder: str) -> None:
    in_the_way = tmp_path / "data" / folder
    in_the_way.parent.mkdir(exist_ok=True)
    in_the_way.write_text("not a folder")
    assert f" {in_the_way} is not a folder" in refusal(tmp_path / "data")
    assert in_the_way.read_text() == "not a folder"


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("folder", [".", "bus", "store", "store/metadata", "bus/bus.sqlite", "lock"])
def test_what_its_mode_forbids_to_write(data_dir: Path, folder: str, processes: int) -> None:
    (data_dir / folder).chmod(0o500)
    said = refusal(data_dir, WITHOUT_OVERRIDE, f"service::processes={processes}")
    (data_dir / folder).chmod(0o700)
    assert f" {data_dir / folder} cannot be written by " in said
    assert "mode 0500: give it to whoever runs tracemend" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives things to somebody else")
@pytest.mark.parametrize("folder", [".", "bus", "store"])
def test_what_belongs_to_somebody_else(data_dir: Path, folder: str) -> None:
    os.chown(data_dir / folder, SOMEBODY_ELSE, SOMEBODY_ELSE)
    said = refusal(data_dir)
    os.chown(data_dir / folder, os.geteuid(), os.getegid())
    assert f" {data_dir / folder} cannot be written by " in said
    assert f"({SOMEBODY_ELSE})" in said or f"user {SOMEBODY_ELSE}" in said


@pytest.mark.parametrize("folder", [".", "bus", "store"])
def test_what_is_mounted_read_only(data_dir: Path, folder: str) -> None:
    said = refusal(data_dir, mounted_read_only(data_dir / folder))
    assert f" {data_dir / folder} is on a file system that is mounted read-only: mount it for writing" in said


def mounted_read_only(folder: Path) -> list[str]:
    """Give a command that becomes another one, for which a folder is read-only."""
    in_a_space_of_its_own = ["unshare", "--mount", "sh", "-ec"]
    script = 'mount --bind "$0" "$0"; mount -o remount,bind,ro "$0"; exec "$@"'
    command = [*in_a_space_of_its_own, script, str(folder)]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*command, "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("this user may not mount anything")
    return command


@contextmanager
def immutable(folder: Path) -> Iterator[None]:
    """Take the right to write from everybody, also from who has files open already: as a file system that fails does.

    A mode would not do that, and a mount cannot become read-only while something on it is open for writing.
    """
    try:
        if not all(changed("+i", path) for path in kept_in(folder)):
            pytest.skip("this user, or this file system, does not make files immutable")
        yield
    finally:
        for path in kept_in(folder):
            changed("-i", path)


def kept_in(folder: Path) -> list[Path]:
    return [
        folder,
        *(path for path in folder.rglob("*") if not path.is_symlink() and (path.is_dir() or path.is_file())),
    ]


def changed(how: str, path: Path) -> bool:
    return subprocess.run(["chattr", how, str(path)], check=False, capture_output=True).returncode == 0


def send(pipeline: PipelineProcess, bodies: Sequence[bytes]) -> list[int]:
    return [pipeline.post("/v1/traces", body)[0] for body in bodies]


def stored(pipeline: PipelineProcess) -> tuple[int, int]:
    """Count the rows of spans, and the spans."""
    rows, spans = pipeline.query("SELECT count(), uniqExact(TraceId, SpanId) FROM otel_traces").split("\t")
    return int(rows), int(spans)


def wait_for_health(pipeline: PipelineProcess, status: int) -> bytes:
    until = time.monotonic() + 40
    while (found := pipeline.get("metrics", "/healthz"))[0] != status:
        assert time.monotonic() < until, found
        time.sleep(0.1)
    return found[1]


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("folder", [".", "bus"])
def test_a_log_that_can_no_longer_be_written_refuses_and_goes_on_by_itself(
    tmp_path: Path, folder: str, processes: int
) -> None:
    pipeline = PipelineProcess(tmp_path / "data", f"service::processes={processes}").start()
    before, refused, after = requests(seed=1, count=3), requests(seed=2, count=3), requests(seed=3, count=3)
    try:
        assert send(pipeline, before) == [200] * 3
        pipeline.settle()
        with immutable(pipeline.data_dir / folder):
            assert send(pipeline, refused) == [503] * 3
            assert b"bus.sqlite" in wait_for_health(pipeline, 503)
            assert stored(pipeline) == (span_count(before), span_count(before))
        wait_for_health(pipeline, 200)
        assert send(pipeline, [*refused, *after]) == [200] * 6
        pipeline.settle(120)
        total = span_count([*before, *refused, *after])
        assert stored(pipeline) == (total, total)
        assert pipeline.stop() == 0
        assert "Traceback" not in pipeline.log()
    finally:
        pipeline.kill_if_running()


def test_a_refusal_says_when_to_come_again_and_what_is_in_the_way(tmp_path: Path) -> None:
    pipeline = PipelineProcess(tmp_path / "data").start()
    try:
        with immutable(pipeline.data_dir / "bus"):
            refused, body = pipeline.answer("/v1/traces", requests(seed=1, count=1)[0])
            assert refused.status == 503
            assert int(refused.headers["Retry-After"]) > 0
            assert b"although its owner and mode allow it" in body
    finally:
        pipeline.kill_if_running()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_store_that_can_no_longer_be_written_is_told_and_what_is_accepted_waits_for_it(
    tmp_path: Path, processes: int
) -> None:
    pipeline = PipelineProcess(tmp_path / "data", f"service::processes={processes}").start()
    before, meanwhile = requests(seed=1, count=3), requests(seed=2, count=3)
    try:
        assert send(pipeline, before) == [200] * 3
        pipeline.settle()
        with immutable(pipeline.data_dir / "store"):
            assert send(pipeline, meanwhile) == [200] * 3
            assert b"store/store" in wait_for_health(pipeline, 503)
            assert stored(pipeline) == (span_count(before), span_count(before))
        wait_for_health(pipeline, 200)
        pipeline.settle(120)
        total = span_count([*before, *meanwhile])
        assert stored(pipeline) == (total, total)
    finally:
        pipeline.kill_if_running()
