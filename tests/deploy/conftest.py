"""One pipeline for the whole session, with all that dashboards show in its store: made by sending, never by writing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo_data import DemoPipeline, filled
from pipeline_process import PipelineProcess


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoPipeline]:
    """Run the pipeline on recorded runs of real agents."""
    data_dir: Path = tmp_path_factory.mktemp("demo") / "data"
    pipeline = PipelineProcess(data_dir, "processors::cost::budgets::run_usd=0.0001", "service::run_idle_seconds=15")
    try:
        yield filled(pipeline.start(), time.time())
    finally:
        pipeline.kill_if_running()
