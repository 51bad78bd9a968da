"""Which detectors share a consumer: refused where it would lose steps, and the same found however they are grouped."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pipeline_process import PipelineProcess
from recorded_requests import requests

from collector.components import registry
from collector.detector_stages import detector_stages
from collector.processor_groups import DETECTORS, EMBEDDING, SplitGroupError, groups_here, wrong_groups
from collector.roles import PROCESSORS, Roles, enabled
from config.problems import ConfigError
from config.settings import Settings
from config.sources import gather
from config.validation import validate
from processors.runs.thresholds import Thresholds
from processors.spending.model_catalogue import PricedModels

THREE = ("service::groups::quick=[loop, retry_storm, tool_error]", "service::groups::money=[cost]")
RUN = [sys.executable, "-m", "collector.cli.main", "run"]


def settings(*set_: str, config: list[Path] | None = None) -> Settings:
    return validate(gather(config or [], set_, {}), registry(), wrong_groups)


def here(made: Settings, *only: str) -> dict[str, set[str]]:
    found = groups_here(made, enabled(made, PROCESSORS), Roles(only))
    return {group: set(members) for group, members in found.items()}


def test_without_groups_all_that_read_steps_share_one() -> None:
    together = here(settings())
    assert {"loop", "cost", "state_delta"} <= together[DETECTORS]
    assert not [group for group in together if group.startswith(f"{DETECTORS}/")]


def test_the_detectors_of_meaning_share_it_unless_they_are_turned_off() -> None:
    of_meaning = {"repetition", "coordination", "persona_drift", "derailment"}
    found = here(settings())
    assert found[DETECTORS] >= of_meaning
    without = here(settings("processors::embedding_similarity::enabled=false"))
    assert without == {DETECTORS: found[DETECTORS] - of_meaning}


def test_on_kafka_they_are_a_group_that_a_role_runs_by_itself() -> None:
    of_meaning = {"repetition", "coordination", "persona_drift", "derailment"}
    made = settings("bus::kafka::brokers=[127.0.0.1:9]")
    assert here(made)[EMBEDDING] == of_meaning
    assert not here(made)[DETECTORS] & of_meaning
    assert here(made, f"{PROCESSORS}/{EMBEDDING}") == {EMBEDDING: of_meaning}


def test_thresholds_are_followed_also_where_only_runs_are_summed_up() -> None:
    made, roles = settings(), Roles(["processors/run_tracker"])
    models = PricedModels(made.models)
    found = detector_stages(made, enabled(made, PROCESSORS), roles, models, time.time_ns, 1_000_000, 1, Thresholds())
    assert [group for group, _ in found] == ["thresholds/run_tracker"]


def test_a_group_takes_its_members_and_the_others_stay_together() -> None:
    made = settings(*THREE)
    found = here(made)
    assert found["processors/quick"] == {"loop", "retry_storm", "tool_error"}
    assert found["processors/money"] == {"cost"}
    assert not found[DETECTORS] & {"loop", "retry_storm", "tool_error", "cost"}
    assert here(made, "processors/cost") == {"processors/money": {"cost"}}
    assert here(made, "processors") == found


def test_a_detector_that_is_off_is_in_no_group() -> None:
    assert here(settings(*THREE, "processors::loop::enabled=false"))["processors/quick"] == {
        "retry_storm",
        "tool_error",
    }


def test_a_group_that_would_be_run_in_part_is_refused_with_its_name_its_members_and_what_to_do() -> None:
    made = settings(*THREE)
    with pytest.raises(SplitGroupError) as refused:
        here(made, "processors/loop", "processors/tool_error")
    said = str(refused.value)
    assert "'processors/quick'" in said
    assert "loop" in said
    assert "--only processors/retry_storm" in said
    assert "service::groups::loop=[loop]" in said
    assert set(here(made, *(f"processors/{name}" for name in ("loop", "tool_error", "retry_storm")))) == {
        "processors/quick"
    }


def test_the_command_says_so_and_exits_with_2(tmp_path: Path) -> None:
    command = [*RUN, "--only", "processors/loop", "--data-dir", str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "shares the group 'processors'" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("    quick: [loop, cosst]", "'cosst' is not configured under processors; did you mean 'cost'?"),
        ("    quick: [llm_judge]", "llm_judge has a group of its own"),
        ("    quick: [loop, loop]", "'loop' is in the group 'quick' already"),
        ("    quick: []", "at least 1"),
        ("    'a/b': [loop]", "should match pattern"),
    ],
)
def test_a_mistake_in_the_groups_is_named_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "groups.yaml"
    file.write_text(f"service:\n  groups:\n{line}\n")
    with pytest.raises(ConfigError) as refused:
        settings(config=[file])
    (problem,) = refused.value.problems
    assert str(problem).startswith(f"{file}:3: service::groups::")
    assert said in str(problem)


def found_by(pipeline: PipelineProcess, bodies: list[bytes]) -> dict[str, dict[str, Any]]:
    """Run recorded runs through a pipeline; what differs by the time of day alone is left out."""
    try:
        pipeline.start()
        for body in bodies:
            assert pipeline.post("/v1/traces", body)[0] == 200
        pipeline.settle()
        told = pipeline.detections()
        billed = pipeline.query("SELECT count(), sum(Input), round(sum(CostUsd), 12) FROM cost_metrics_rows FINAL")
        assert not billed.startswith("0\t")
    finally:
        pipeline.kill_if_running()
    left_out = {"version", "detected_at"}
    rows = {one["id"]: {key: value for key, value in one.items() if key not in left_out} for one in told}
    return {**rows, "billed": {"as": billed}}


@pytest.mark.timeout(300)
def test_the_same_is_found_and_billed_however_they_are_grouped(tmp_path: Path) -> None:
    bodies = requests(seed=11, count=4)
    one = found_by(PipelineProcess(tmp_path / "one", "service::processes=1"), bodies)
    three = found_by(PipelineProcess(tmp_path / "three", "service::processes=1", *THREE), bodies)
    assert len(one) > 3
    assert three == one
