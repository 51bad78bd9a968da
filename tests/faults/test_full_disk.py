"""A disk that is full, as SQLite meets it: refused with a delay, shown in health, and going on once there is room."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import pytest
from pipeline_process import PipelineProcess
from recorded_requests import requests, span_count

from collector.bus import embedded
from collector.bus.embedded import EmbeddedBus
from collector.bus.protocol import BusUnavailable, Outgoing


def limit_pages(bus: EmbeddedBus, pages: int) -> None:
    """Let the log grow no further than so many pages: SQLite then says that the disk is full."""
    bus._connection.execute(f"PRAGMA max_page_count={pages}")  # there is no other way without a mount


def records(count: int) -> list[Outgoing]:
    return [Outgoing("otlp_spans", str(number), os.urandom(20_000)) for number in range(count)]


def test_a_full_disk_is_told_with_what_to_do_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "PROBE_SECONDS", 0.05)
    bus = EmbeddedBus(tmp_path)
    bus.publish(records(5)).result(10)
    limit_pages(bus, 1)
    with pytest.raises(BusUnavailable, match="disk is full: make room") as refused:
        bus.publish(records(50)).result(10)
    assert refused.value.retry_after_seconds > 0
    assert "disk is full" in bus.trouble
    limit_pages(bus, 1 << 30)
    until = time.monotonic() + 10
    while bus.trouble:  # nobody has to send for it to be seen
        assert time.monotonic() < until
        time.sleep(0.02)
    bus.publish(records(50)).result(10)
    consumer = bus.consumer("g", ["otlp_spans"])
    read = 0
    while batch := consumer.poll(timeout_seconds=0.2).records:
        read += len(batch)
    consumer.close()
    bus.close()
    assert read == 55


def test_a_damaged_log_stops_the_command_with_what_to_do_and_repair_lets_it_go_on(tmp_path: Path) -> None:
    pipeline = PipelineProcess(tmp_path / "data").start()
    before, after = requests(seed=4, count=4), requests(seed=5, count=4)
    try:
        for body in before:
            assert pipeline.post("/v1/traces", body)[0] == 200
        pipeline.settle()
        assert pipeline.stop() == 0
        with (tmp_path / "data" / "bus" / "bus.sqlite").open("r+b") as log:
            log.write(b"whoever put it here")
        with pytest.raises(RuntimeError, match=r"exited with 1: (.|\n)*tracemend bus repair"):
            pipeline.start()
        assert "Traceback" not in pipeline.log()
        pipeline.run("bus", "repair")
        pipeline.start()
        for body in after:
            assert pipeline.post("/v1/traces", body)[0] == 200
        pipeline.settle()
        rows, spans = pipeline.query("SELECT count(), uniqExact(TraceId, SpanId) FROM otel_traces").split("\t")
        assert int(rows) == int(spans) == span_count(before) + span_count(after)
    finally:
        pipeline.kill_if_running()


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of another process are set on Linux only")
def test_a_running_pipeline_refuses_says_why_and_goes_on_by_itself(tmp_path: Path) -> None:
    pipeline = PipelineProcess(tmp_path / "data", "service::processes=3").start()
    try:
        bodies = requests(seed=3, count=20)
        for body in bodies[: len(bodies) // 2]:
            assert pipeline.post("/v1/traces", body)[0] == 200
        assert pipeline.process is not None
        room = resource.prlimit(pipeline.process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        assert pipeline.post("/v1/traces", bodies[-1])[0] == 503
        status, body = pipeline.get("metrics", "/healthz")
        assert (status, b'"failing"' in body, b"bus.sqlite" in body) == (503, True, True)
        resource.prlimit(pipeline.process.pid, resource.RLIMIT_FSIZE, room)
        until = time.monotonic() + 20
        while pipeline.get("metrics", "/healthz")[0] != 200:
            assert time.monotonic() < until
            time.sleep(0.1)
        for body in bodies[len(bodies) // 2 :]:
            assert pipeline.post("/v1/traces", body)[0] == 200
        pipeline.settle(120)
        total = span_count(bodies)
        rows, spans = pipeline.query("SELECT count(), uniqExact(TraceId, SpanId) FROM otel_traces").split("\t")
        assert (int(rows), int(spans)) == (total, total)
    finally:
        pipeline.kill_if_running()
