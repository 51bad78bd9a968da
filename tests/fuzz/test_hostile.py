"""Bombs, texts that are hard to read, slow clients and floods on a whole pipeline, beside an honest client.

What the honest client was acknowledged is in the store, once and as it was sent; memory stays within a bound.
`hostile_report.py` is the long form, and prints what the honest client noticed.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hostile_clients import ATTACKS, MIB
from pipeline_process import PipelineProcess
from under_attack import begun, missing_or_wrong, under_attack

pytestmark = pytest.mark.timeout(240)

SECONDS = 2.0
GROWTH_BYTES = 700 * MIB
"""Of which a body of 64 MiB takes three times that while it is decompressed; the rest is the store's at work."""


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PipelineProcess]:
    running = begun(tmp_path_factory.mktemp("hostile") / "data")
    yield running
    running.kill_if_running()


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_honest_client_is_served_whatever_the_others_do(pipeline: PipelineProcess, attack: str) -> None:
    noted = under_attack(pipeline, attack, SECONDS)
    assert len(noted.during) > 1
    assert noted.growth < GROWTH_BYTES
    assert missing_or_wrong(pipeline, noted.acknowledged) == []
