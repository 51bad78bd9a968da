"""The agent of the demo sends what a pipeline takes, as an exporter does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pipeline_process import PipelineProcess
from program_commands import DEPLOY

KEY = "a-key-that-only-this-test-knows"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PipelineProcess]:
    keys = f'extensions::api_keys::keys=[{{"tenant": "demo", "key": "{KEY}"}}]'
    running = PipelineProcess(Path(tmp_path_factory.mktemp("demo-agent")) / "data", "service::processes=1", keys)
    try:
        yield running.start()
    finally:
        running.kill_if_running()


def agent(endpoint: str, headers: str) -> subprocess.CompletedProcess[str]:
    told = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_HEADERS": headers}
    return subprocess.run(
        [sys.executable, str(DEPLOY / "demo_agent.py"), "--once"],
        env={**os.environ, **told, "DEMO_WAIT_SECONDS": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_every_run_is_taken_and_something_is_found_in_them(pipeline: PipelineProcess) -> None:
    done = agent(f"http://{(pipeline.info() or {})['http']}", f"x-api-key={KEY}")
    assert (done.returncode, done.stderr) == (0, "")
    pipeline.settle()
    assert pipeline.query("SELECT DISTINCT Tenant FROM detections_latest") == "demo"


def test_a_wrong_key_and_a_pipeline_that_is_away_are_told(pipeline: PipelineProcess) -> None:
    done = agent(f"http://{(pipeline.info() or {})['http']}", "x-api-key=wrong")
    assert done.returncode == 1
    assert "401" in done.stderr
    done = agent("http://127.0.0.1:9", "")
    assert done.returncode == 1
    assert "refused" in done.stderr
