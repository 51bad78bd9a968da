"""For tests that ask: a running pipeline, once as a single process, once as several."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pipeline_process import PipelineProcess


@pytest.fixture(params=[1, 3], ids=["one-process", "several-processes"])
def pipeline(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[PipelineProcess]:
    running = PipelineProcess(tmp_path / "data", f"service::processes={request.param}")
    try:
        running.start()
        yield running
    finally:
        running.kill_if_running()
