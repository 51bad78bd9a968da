"""A webhook on a whole pipeline: told what is found, made up for when the receiver was away, and told once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pipeline_process import PipelineProcess
from webhook_receiver import WebhookReceiver, answer

from collector.cli.recorded_runs import recorded_runs

WAIT_SECONDS = 60.0


@pytest.fixture
def pipeline(tmp_path: Path, receiver: WebhookReceiver) -> Iterator[PipelineProcess]:
    url = f"sinks::webhook::url={receiver.url}"
    running = PipelineProcess(tmp_path / "data", url, "sinks::webhook/loud::url=", "sinks::webhook::secret=quiet")
    try:
        running.start()
        yield running
    finally:
        running.kill_if_running()


def send(pipeline: PipelineProcess, name: str) -> None:
    run = next(run for run in recorded_runs(time.time_ns()) if run.name == name)
    for path, body in run.requests:
        assert pipeline.post(path, body)[0] == 200


def told(receiver: WebhookReceiver) -> list[dict[str, Any]]:
    return [json.loads(body) for body in receiver.bodies()]


def wait_until(is_so: Callable[[], bool], pipeline: PipelineProcess) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, pipeline.log()
        time.sleep(0.05)


def names(events: list[dict[str, Any]]) -> set[str]:
    return {f"{event['type']} {event['id']}" for event in events}


def test_it_is_told_what_is_found_and_what_is_done_about_it(
    pipeline: PipelineProcess, receiver: WebhookReceiver
) -> None:
    send(pipeline, "strands-loop")
    pipeline.settle()
    versions = pipeline.detections("--all-versions")
    assert versions
    wanted = {f"tracemend.detection/1 {one['id']}.{one['version']}" for one in versions}
    events = told(receiver)
    assert {name for name in names(events) if name.startswith("tracemend.detection/1")} == wanted
    assert "applied" in {event["data"].get("event") for event in events}
    assert len(events) == len(names(events))


def test_a_receiver_that_was_away_is_told_afterwards_and_nothing_else_waits_for_it(
    pipeline: PipelineProcess, receiver: WebhookReceiver
) -> None:
    receiver.usually = answer(503, retry_after="1")
    send(pipeline, "strands-loop")
    wait_until(lambda: bool(pipeline.detections()), pipeline)  # stored, though the webhook is not told
    wait_until(lambda: bool(receiver.received), pipeline)
    wait_until(lambda: b"answered 503" in pipeline.get("metrics", "/healthz")[1], pipeline)
    assert pipeline.get("metrics", "/healthz")[0] == 200  # it accepts all the same
    pipeline.kill()
    pipeline.start()
    before = len(receiver.received)
    receiver.usually = answer(200)
    pipeline.settle()
    after = [json.loads(body) for body in receiver.bodies()[before:]]
    wanted = {f"{one['id']}.{one['version']}" for one in pipeline.detections("--all-versions")}
    assert {event["id"] for event in after if event["type"] == "tracemend.detection/1"} == wanted
