"""`kill -9` at random instants: what was acknowledged is stored once, found and healed as if nothing had happened.

The short form; `python tests/crash/crash_report.py --seeds 1-20` is the long one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import KINDS, disturbed, plan_of, undisturbed
from outcome import Outcome, differences, outcome_of
from recorded_requests import requests, span_count

REQUESTS = 60
KILLS = len(KINDS)
INPUT_SEED = 11

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def bodies() -> list[bytes]:
    return requests(INPUT_SEED, REQUESTS)


@pytest.fixture(scope="module")
def expected(bodies: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    pipeline = undisturbed(tmp_path_factory.mktemp("crash"), bodies)
    yield outcome_of(pipeline)
    pipeline.kill_if_running()


def test_the_undisturbed_run_has_something_to_lose(bodies: list[bytes], expected: Outcome) -> None:
    assert expected.rows == expected.spans == span_count(bodies)
    assert len(expected.detections) > REQUESTS
    assert any(key.endswith(" applied") for key in expected.healed)
    assert expected.policies


@pytest.mark.parametrize(("seed", "processes"), [(1, 3), (2, 1)])
def test_a_run_that_was_killed_comes_to_the_same(
    bodies: list[bytes], expected: Outcome, tmp_path: Path, seed: int, processes: int
) -> None:
    done = disturbed(tmp_path, bodies, seed, plan_of(seed, KILLS, REQUESTS), processes)
    try:
        assert differences(outcome_of(done.pipeline), expected) == []
    finally:
        done.pipeline.kill_if_running()
