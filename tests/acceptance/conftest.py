"""One running pipeline per test that asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pipeline_process import PipelineProcess


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[PipelineProcess]:
    running = PipelineProcess(tmp_path / "data")
    running.start()
    yield running
    if running.process is not None and running.process.poll() is None:
        running.kill()
