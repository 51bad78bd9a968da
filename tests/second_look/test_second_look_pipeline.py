"""The second look in a real pipeline whose environment lacks what it needs, and in configurations that are wrong."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from escalated_runs import trace
from pipeline_process import PipelineProcess
from searching import latest_loop, searches

from collector.assembly import Assembly
from collector.cli.configuration import load_settings
from collector.looking import takes_second_looks
from collector.memory_shares import shares
from collector.roles import Roles
from config.problems import ConfigError

ON = ("processors::embedding_similarity::enabled=true", "processors::embedding_similarity::second_look=true")


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[PipelineProcess]:
    running = PipelineProcess(tmp_path / "data", "service::processes=1", *ON)
    yield running
    running.kill_if_running()


@pytest.mark.skipif(find_spec("sentence_transformers") is not None, reason="the package is here")
def test_without_the_package_it_is_off_says_so_once_and_findings_go_on(pipeline: PipelineProcess) -> None:
    pipeline.start()
    assert pipeline.post("/v1/traces", searches(trace(1)), "application/json")[0] == 200
    found = latest_loop(pipeline, until="")
    assert (found["confidence_tier"], found["tier"], found["evidence"]["match"]) == ("POSSIBLE", 2, "wording")
    pipeline.settle()
    assert b'tracemend_second_looks{outcome="passed_on",reason="off"} 1.0' in pipeline.get("metrics", "/metrics")[1]
    assert pipeline.log().count("the second look is off") == 1
    status, health = pipeline.get("metrics", "/healthz")
    assert (status, b"there is no full model here" in health) == (200, True)
    assert pipeline.stop() == 0


@pytest.mark.parametrize(
    ("only", "is_part"), [("processors/embedding_similarity", True), ("processors", True), ("normaliser", False)]
)
def test_it_is_part_of_the_role_that_makes_vectors(tmp_path: Path, only: str, is_part: bool) -> None:
    assembly = Assembly(load_settings([], ON, tmp_path), Roles([only]), shares(1 << 31))
    try:
        assert ("second_look" in {name for name, _ in assembly.stages()}) == is_part
    finally:
        assembly.close()


def wrong(file: Path, model: str) -> str:
    file.write_text(f"processors:\n  embedding_similarity:\n    second_look: true\n    model: {model}\n")
    with pytest.raises(ConfigError) as raised:
        load_settings([file], [], file.parent)
    (problem,) = raised.value.problems
    return str(problem)


def test_a_folder_that_is_not_there_or_holds_no_model_is_told_with_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    where = f"{file}:4: processors::embedding_similarity::model: "
    assert wrong(file, f"{tmp_path}/nowhere").startswith(f"{where}there is no such folder")
    assert wrong(file, str(tmp_path)).startswith(f"{where}no modules.json and no config.json in it")


def test_escalations_go_by_it_only_where_it_is_asked_for_and_its_detectors_are_on(tmp_path: Path) -> None:
    assert not takes_second_looks(load_settings([], [], tmp_path))
    assert not takes_second_looks(load_settings([], [ON[0]], tmp_path))
    without = "processors::embedding_similarity::enabled=false"
    assert not takes_second_looks(load_settings([], [without, ON[1]], tmp_path))
    assert takes_second_looks(load_settings([], ON, tmp_path))
