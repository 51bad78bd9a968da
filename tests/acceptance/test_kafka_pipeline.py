"""The pipeline over a real Kafka broker: the same detections as on the embedded bus, also with a replica killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka_broker import Broker
from kafka_buses import make_topics
from pipeline_process import TRACEMEND, PipelineProcess
from recorded_requests import requests, span_count

from collector.bus.kafka_connection import KafkaConnection

PARTITIONS = 3
REQUESTS = 12
SETTLE_SECONDS = 100.0


@pytest.fixture(scope="module")
def bodies() -> list[bytes]:
    return requests(5, REQUESTS)


@pytest.fixture(scope="module")
def embedded(bodies: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str, str]]:
    """Find what there is to find where nothing is shared out and nobody is killed."""
    pipeline = PipelineProcess(tmp_path_factory.mktemp("embedded") / "data", "service::processes=1").start()
    try:
        for body in bodies:
            assert pipeline.post("/v1/traces", body)[0] == 200
        pipeline.settle(SETTLE_SECONDS)
        return found_by(pipeline)
    finally:
        pipeline.kill_if_running()


def found_by(pipeline: PipelineProcess) -> set[tuple[str, str, str]]:
    return {(one["id"], one["type"], one["status"]) for one in pipeline.detections()}


def comes_to(pipeline: PipelineProcess, expected: set[tuple[str, str, str]]) -> None:
    """Wait for what is to be found, then for everything else: nobody counts the lag of a dead member's tasks."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while found_by(pipeline) != expected and time.monotonic() < deadline:
        time.sleep(0.5)
    pipeline.settle(SETTLE_SECONDS)
    assert found_by(pipeline) == expected


@pytest.fixture
def on_kafka(kafka: Broker, topic_prefix: str, tmp_path: Path) -> Iterator[PipelineProcess]:
    make_topics(KafkaConnection(kafka.bootstrap, topic_prefix), PARTITIONS)
    settings = (
        "service::processes=1",
        f"bus::kafka::brokers={kafka.bootstrap}",
        "bus::kafka::session_timeout_seconds=2",
        f"bus::prefix={topic_prefix}",
        f"bus::partitions={PARTITIONS}",
    )
    pipeline = PipelineProcess(tmp_path / "data", *settings)
    yield pipeline
    pipeline.kill_if_running()


def replica(pipeline: PipelineProcess, *roles: str) -> subprocess.Popen[bytes]:
    """Start another process of the same pipeline, on a data dir of its own."""
    options = [part for role in roles for part in ("--only", role)]
    options += [part for setting in pipeline.settings for part in ("--set", setting)]
    options += ["--set", "service::telemetry::metrics::endpoint=127.0.0.1:0"]
    beside = pipeline.data_dir.with_name("replica")
    with beside.with_suffix(".log").open("a") as log:
        return subprocess.Popen(
            [*TRACEMEND, "run", *options, "--data-dir", str(beside)],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def test_what_is_found_on_kafka_is_what_is_found_embedded(
    on_kafka: PipelineProcess, bodies: list[bytes], embedded: set[tuple[str, str, str]]
) -> None:
    on_kafka.start()
    for body in bodies:
        assert on_kafka.post("/v1/traces", body)[0] == 200
    on_kafka.settle(SETTLE_SECONDS)
    assert found_by(on_kafka) == embedded
    rows, spans = on_kafka.query("SELECT count(), uniqExact(TraceId, SpanId) FROM otel_traces").split("\t")
    assert int(rows) == int(spans) == span_count(bodies)
    assert on_kafka.stop() == 0


@pytest.mark.crash
def test_a_replica_of_the_detectors_that_comes_and_is_killed_changes_nothing(
    on_kafka: PipelineProcess, bodies: list[bytes], embedded: set[tuple[str, str, str]]
) -> None:
    on_kafka.start()
    half = len(bodies) // 2
    for body in bodies[:half]:
        assert on_kafka.post("/v1/traces", body)[0] == 200
    other = replica(on_kafka, "processors", "normaliser")
    running = on_kafka.data_dir.with_name("replica") / "running.json"
    try:
        for body in bodies[half:-2]:
            assert on_kafka.post("/v1/traces", body)[0] == 200
        while not running.exists():
            assert other.poll() is None, running.parent.with_suffix(".log").read_text()
            time.sleep(0.05)
        assert on_kafka.post("/v1/traces", bodies[-2])[0] == 200
    finally:
        os.killpg(other.pid, signal.SIGKILL)
        other.wait()
    assert on_kafka.post("/v1/traces", bodies[-1])[0] == 200
    comes_to(on_kafka, embedded)


@pytest.mark.crash
def test_a_group_of_its_own_in_a_process_of_its_own_finds_the_same(
    on_kafka: PipelineProcess, bodies: list[bytes], embedded: set[tuple[str, str, str]]
) -> None:
    quick = ("loop", "retry_storm", "tool_error")
    on_kafka.settings = (*on_kafka.settings, f"service::groups::quick=[{', '.join(quick)}]")
    on_kafka.start()
    other = replica(on_kafka, *(f"processors/{name}" for name in quick))
    running = on_kafka.data_dir.with_name("replica") / "running.json"
    try:
        while not running.exists():
            assert other.poll() is None, running.parent.with_suffix(".log").read_text()
            time.sleep(0.05)
        for body in bodies[:-1]:
            assert on_kafka.post("/v1/traces", body)[0] == 200
    finally:
        os.killpg(other.pid, signal.SIGKILL)
        other.wait()
    assert on_kafka.post("/v1/traces", bodies[-1])[0] == 200
    comes_to(on_kafka, embedded)
