"""Every recorded run, against what is known to have happened in it."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from normaliser_drive import RECORDED, NormaliserDrive, one_by_one, recorded

from schemas.step import LLM, TOOL, Step

TRUTH: dict[str, dict[str, Any]] = yaml.safe_load((Path(RECORDED).parent / "ground_truth.yaml").read_text())
NAMES = sorted(path.name for path in RECORDED.iterdir() if path.is_dir())


def steps_of(name: str) -> list[Step]:
    drive = NormaliserDrive()
    for request in recorded(name):
        drive.send(request)
    return drive.steps()


def test_every_recording_has_its_truth_written_down() -> None:
    assert sorted(TRUTH) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_calls_are_counted_once(name: str) -> None:
    steps = steps_of(name)
    assert sum(step.kind == LLM for step in steps) == TRUTH[name]["llm"]
    assert sum(step.kind == TOOL for step in steps) == TRUTH[name]["tool"]


@pytest.mark.parametrize("name", NAMES)
def test_identical_calls_are_identical(name: str) -> None:
    tools = [step for step in steps_of(name) if step.kind == TOOL]
    runs = (len(list(group)) for _, group in groupby((step.trace_id, step.tool, step.args_hash) for step in tools))
    assert max(runs, default=0) == TRUTH[name]["longest"]


@pytest.mark.parametrize("name", NAMES)
def test_tokens_are_summed_once(name: str) -> None:
    assert sum(step.usage.input for step in steps_of(name) if step.usage) == TRUTH[name]["tokens"]


@pytest.mark.parametrize("name", [name for name in NAMES if "agents" in TRUTH[name]])
def test_every_call_is_somebodys(name: str) -> None:
    calls = [step for step in steps_of(name) if step.kind in (LLM, TOOL)]
    assert sorted({step.agent for step in calls}) == TRUTH[name]["agents"]


@pytest.mark.parametrize("name", NAMES)
def test_failures_are_seen_where_they_happened(name: str) -> None:
    calls = [step for step in steps_of(name) if step.kind in (LLM, TOOL)]
    assert sum(step.failed for step in calls) == TRUTH[name]["failed"]


@pytest.mark.parametrize("name", [name for name in NAMES if "asked" in TRUTH[name]])
def test_tool_calls_are_read_out_of_messages_where_no_span_shows_them(name: str) -> None:
    asked = [call for step in steps_of(name) for call in step.calls]
    assert len(asked) == TRUTH[name]["asked"]
    assert len({(call.name, call.args_hash) for call in asked}) == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(NAMES), st.randoms(use_true_random=False), st.integers(1, 9))
def test_order_batches_and_crashes_change_nothing(name: str, random: Any, size: int) -> None:
    straight = NormaliserDrive()
    straight.send(*recorded(name))
    pieces = one_by_one(recorded(name))
    random.shuffle(pieces)
    drive = NormaliserDrive()
    while pieces:
        drive.send(*pieces[:size])
        pieces = pieces[size:]
        if random.random() < 0.2:
            drive.restart()
    assert [_timeless(step) for step in drive.steps()] == [_timeless(step) for step in straight.steps()]


def _timeless(step: Step) -> Step:
    return msgspec.structs.replace(step, revision=0)


def test_a_request_that_is_repeated_is_taken_in_once() -> None:
    drive = NormaliserDrive()
    (request,) = recorded("strands-loop")
    drive.send(request)
    told = len(drive.topics)
    drive.send(request)
    drive.restart()
    drive.send(request)
    assert len(drive.topics) == told


def test_links_between_traces_are_told() -> None:
    drive = NormaliserDrive()
    drive.send(*recorded("autogen-native"))
    assert "run_links" in drive.topics


def test_a_record_that_is_no_request_is_dead_lettered() -> None:
    drive = NormaliserDrive()
    drive.send(("otlp_spans", b"\xff\xff nonsense"))
    assert drive.topics == ["dead_letters"]
