"""For tests that ask: a running pipeline, once as a single process, once as several; and who hears its webhooks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pipeline_process import PipelineProcess
from webhook_receiver import WebhookReceiver


@pytest.fixture(params=[1, 3], ids=["one-process", "several-processes"])
def pipeline(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[PipelineProcess]:
    running = PipelineProcess(tmp_path / "data", f"service::processes={request.param}")
    try:
        running.start()
        yield running
    finally:
        running.kill_if_running()


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    opened = WebhookReceiver()
    yield opened
    opened.close()
