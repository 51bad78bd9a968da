"""A memory limit below what the program needs: fewer processes where that fits, else it says what to set and ends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from pipeline_process import PipelineProcess
from recorded_requests import requests, span_count

from collector.cli.configuration import load_settings
from collector.fitting_plan import LIMIT, LimitTooLowError, fitting
from collector.memory_shares import needed_mib
from collector.process_plan import PLANS, parts
from config.settings import Settings

pytestmark = pytest.mark.timeout(120)
LEAST = needed_mib(1)


def load(data_dir: Path, *settings: str) -> Settings:
    return load_settings([], settings, data_dir)


def ended(tmp_path: Path, *settings: str, command: Sequence[str] = ("up",)) -> tuple[int, str]:
    """Start what is to end by itself; gives its exit status and what it said."""
    pipeline = PipelineProcess(tmp_path / "data", *settings, command=command)
    pipeline.spawn()
    assert pipeline.process is not None
    try:
        return pipeline.process.wait(60), pipeline.log()
    finally:
        pipeline.kill_if_running()


def test_a_limit_below_the_need_of_one_process_is_a_wrong_configuration(tmp_path: Path) -> None:
    status, said = ended(tmp_path, f"{LIMIT}={LEAST - 1}")
    assert status == 2
    assert said.startswith(f"tracemend: {LIMIT} is {LEAST - 1} ")
    assert f"{LIMIT} to {LEAST} or more" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_processes_that_were_asked_for_are_not_made_fewer(tmp_path: Path) -> None:
    status, said = ended(tmp_path, f"{LIMIT}={LEAST}", "service::processes=3")
    assert status == 2
    assert f"{LIMIT} to {needed_mib(3)} or more, or service::processes to 1 (needs {LEAST})" in said


@pytest.mark.skipif(not parts("auto"), reason="a machine where one process is all there is")
def test_the_lowest_limit_is_one_process_that_does_all_its_work(tmp_path: Path) -> None:
    pipeline = PipelineProcess(tmp_path / "data", f"{LIMIT}={LEAST}")
    try:
        pipeline.start()
        said = [line for line in pipeline.log().splitlines() if LIMIT in line]
        assert len(said) == 1
        assert f"{LIMIT} is {LEAST}: running as one process instead of" in said[0]
        assert (pipeline.info() or {})["processes"] == {}
        bodies = requests(seed=1, count=4)
        assert [pipeline.post("/v1/traces", body)[0] for body in bodies] == [200] * len(bodies)
        pipeline.settle()
        assert int(pipeline.query("SELECT count() FROM otel_traces")) == span_count(bodies)
    finally:
        pipeline.kill_if_running()


@pytest.mark.parametrize("cores", [2, 4])
def test_auto_takes_the_most_processes_that_fit(cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))
    most = 1 + len(parts("auto"))
    for count in range(1, most + 1):
        settings = load(tmp_path, f"{LIMIT}={needed_mib(count)}")
        found = fitting(settings)
        assert found.others == PLANS[count]
        assert bool(found.note) == (count < most)


def test_without_the_embedded_store_much_less_is_enough(tmp_path: Path) -> None:
    elsewhere = "sinks::clickhouse::dsn=clickhouse://u:p@127.0.0.1:1/d"
    need = needed_mib(1, embedded_store=False)
    assert fitting(load(tmp_path, f"{LIMIT}={need}", elsewhere)).others == ()
    assert fitting(load(tmp_path, f"{LIMIT}={need}"), ["receivers"]).others == ()
    with pytest.raises(LimitTooLowError, match="ClickHouse server"):
        fitting(load(tmp_path, f"{LIMIT}={need}"))
