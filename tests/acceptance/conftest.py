"""One running pipeline per test that asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pipeline_process import PipelineProcess


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[PipelineProcess]:
    running = PipelineProcess(tmp_path / "data")
    try:
        running.start()
        yield running
    finally:
        running.kill_if_running()
