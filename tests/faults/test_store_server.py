"""A whole pipeline on a ClickHouse server that is away, comes, is killed, and whose answers get lost."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from clickhouse_fixtures import Place
from clickhouse_servers import ChdbServer
from pipeline_process import PipelineProcess
from recorded_requests import requests, span_count

from sinks.server_store import ServerStore
from sinks.store import StoreError

SECONDS = 90.0


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.1)


def sink_of(pipeline: PipelineProcess) -> dict[str, str]:
    """Give what health says of the sink."""
    status, body = pipeline.get("metrics", "/healthz")
    return dict(json.loads(body)["components"].get("sinks/clickhouse", {})) if status else {}


def stored(dsn: str) -> tuple[int, int]:
    """Count the spans in the store, and how many they are when each is counted once."""
    try:
        store = ServerStore(dsn)
        (row,) = store.query("SELECT count() AS all, uniqExact(TraceId, SpanId) AS once FROM otel_traces")
        store.close()
    except StoreError:
        return 0, 0
    return int(row["all"]), int(row["once"])


def send(pipeline: PipelineProcess, seed: int, count: int) -> int:
    bodies = requests(seed, count)
    for body in bodies:
        assert pipeline.post("/v1/traces", body)[0] == 200
    return span_count(bodies)


@pytest.mark.timeout(300)
def test_a_server_that_comes_later_gets_everything_once(tmp_path: Path) -> None:
    server = ChdbServer(tmp_path)
    server.kill()
    dsn = server.dsn("obs")
    pipeline = PipelineProcess(tmp_path / "data", f"sinks::clickhouse::dsn={dsn}")
    try:
        pipeline.spawn()
        until(lambda: sink_of(pipeline).get("status") == "failing")
        assert "nothing listens there" in sink_of(pipeline)["error"]
        assert "the bus keeps what comes" in sink_of(pipeline)["error"]
        sent = send(pipeline, seed=1, count=3)
        assert pipeline.get("metrics", "/healthz")[0] == 503
        server.start()
        until(lambda: stored(dsn) == (sent, sent))
        until(lambda: pipeline.get("metrics", "/healthz")[0] == 200)
        server.kill()
        sent += send(pipeline, seed=2, count=3)
        until(lambda: sink_of(pipeline).get("status") == "failing")
        server.start()
        until(lambda: stored(dsn) == (sent, sent))
        pipeline.settle()
        assert stored(dsn) == (sent, sent)
        assert pipeline.stop() == 0
    finally:
        pipeline.kill_if_running()
        server.close()


@pytest.mark.timeout(300)
def test_answers_that_get_lost_and_cut_wires_store_nothing_twice(place: Place, tmp_path: Path) -> None:
    pipeline = PipelineProcess(tmp_path / "data", f"sinks::clickhouse::dsn={place.faulty_dsn}")
    sent = 0
    try:
        pipeline.start()
        for seed in range(1, 4):
            place.link.cut_answers = 3
            sent += send(pipeline, seed, count=2)
            time.sleep(1)
            place.link.unplug()
            sent += send(pipeline, seed + 10, count=1)
            place.link.plug_in()
        until(lambda: stored(place.dsn) == (sent, sent))
        pipeline.settle()
        assert stored(place.dsn) == (sent, sent)
        assert pipeline.stop() == 0
    finally:
        pipeline.kill_if_running()


@pytest.mark.timeout(300)
def test_a_server_that_takes_longer_than_anybody_waits_gets_everything_once(place: Place, tmp_path: Path) -> None:
    """Every answer to an insert comes after it was given up, and the insert was made all the same."""
    hasty = ("sinks::clickhouse::timeout_seconds=1", f"sinks::clickhouse::dsn={place.faulty_dsn}")
    pipeline = PipelineProcess(tmp_path / "data", *hasty)
    try:
        pipeline.start()
        place.link.delay_seconds = 2.5
        sent = send(pipeline, seed=1, count=4)
        until(lambda: "did not answer in time" in sink_of(pipeline).get("error", ""))
        sent += send(pipeline, seed=2, count=2)
        place.link.delay_seconds = 0.2
        until(lambda: stored(place.dsn) == (sent, sent))
        pipeline.settle()
        assert stored(place.dsn) == (sent, sent)
        assert pipeline.stop() == 0
    finally:
        pipeline.kill_if_running()


@pytest.mark.crash
@pytest.mark.timeout(300)
def test_a_pipeline_that_is_killed_between_its_inserts_stores_everything_once(place: Place, tmp_path: Path) -> None:
    """The answers to inserts are held back, so that it dies with rows in the store that it never heard of."""
    pipeline = PipelineProcess(tmp_path / "data", f"sinks::clickhouse::dsn={place.faulty_dsn}")
    sent = 0
    try:
        for seed in (1, 2):
            place.link.holds_answers = False
            pipeline.start()
            pipeline.settle()
            place.link.holds_answers = True
            before = stored(place.dsn)[0]
            sent += send(pipeline, seed, count=2)
            until(lambda before=before: stored(place.dsn)[0] > before)  # type: ignore[misc]  # bound now
            pipeline.kill()
        place.link.holds_answers = False
        pipeline.start()
        until(lambda: stored(place.dsn) == (sent, sent))
        pipeline.settle()
        assert stored(place.dsn) == (sent, sent)
        assert pipeline.stop() == 0
    finally:
        pipeline.kill_if_running()


@pytest.mark.timeout(120)
def test_a_wrong_password_stops_the_start_and_says_what_to_do(place: Place, tmp_path: Path) -> None:
    wrong = place.dsn.partition("@")[2]
    pipeline = PipelineProcess(tmp_path / "data", f"sinks::clickhouse::dsn=clickhouse://tests:wrong@{wrong}")
    try:
        pipeline.spawn()
        assert pipeline.process is not None
        assert pipeline.process.wait(60) == 1
        assert "user or password is wrong: set sinks::clickhouse::dsn right" in pipeline.log()
        assert "Traceback" not in pipeline.log()
    finally:
        pipeline.kill_if_running()
