"""Faults on a real broker: every accepted span is stored once, found and healed as if nothing had happened.

The short form; `python tests/chaos/chaos_report.py --seeds 1-10` is the long one.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from disturbed_run import disturbed, undisturbed, world
from faults import plan_of, possible
from kafka_broker import Broker
from outcome import Outcome, differences
from recorded_requests import requests, span_count

REQUESTS = 60
INPUT_SEED = 21
AWAY_SECONDS = 4.0

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def bodies() -> list[bytes]:
    return requests(INPUT_SEED, REQUESTS)


@pytest.fixture(scope="module")
def expected(bodies: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return undisturbed(tmp_path_factory.mktemp("chaos"), bodies)


def test_the_undisturbed_run_has_something_to_lose(bodies: list[bytes], expected: Outcome) -> None:
    assert expected.rows == expected.spans == span_count(bodies)
    assert len(expected.detections) > REQUESTS
    assert any(key.endswith(" applied") for key in expected.healed)
    assert expected.policies


def test_a_run_with_every_fault_in_it_comes_to_the_same(
    kafka: Broker, topic_prefix: str, bodies: list[bytes], expected: Outcome, tmp_path: Path
) -> None:
    with world(tmp_path, kafka, topic_prefix, AWAY_SECONDS) as where:
        found = disturbed(where, bodies, 1, plan_of(1, REQUESTS, possible(kafka)))
        assert differences(found, expected) == []
