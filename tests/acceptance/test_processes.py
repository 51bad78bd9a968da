"""Several processes under one command: killed one by one, unable to start, outlived by nothing."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pipeline_process import PipelineProcess
from test_captures_end_to_end import payloads
from test_kill import Client, copies, request_spans

WAIT_SECONDS = 60.0
SPANS = 6_000


@pytest.fixture
def several(tmp_path: Path) -> Iterator[PipelineProcess]:
    running = PipelineProcess(tmp_path / "data", "service::processes=3")
    try:
        running.start()
        yield running
    finally:
        running.kill_if_running()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def processes(pipeline: PipelineProcess) -> dict[str, int]:
    return dict((pipeline.info() or {}).get("processes", {}))


def kill_one(pipeline: PipelineProcess, name: str) -> None:
    """Kill a process, and wait until it is another one and all is well again."""
    before = processes(pipeline)[name]
    os.kill(before, signal.SIGKILL)
    until(lambda: processes(pipeline).get(name, before) != before)
    until(lambda: whole(pipeline))


def whole(pipeline: PipelineProcess) -> bool:
    return pipeline.get("metrics", "/healthz")[0] == 200


def lives(pid: int) -> bool:
    """Say whether a process runs; one that has ended and waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def counter(pipeline: PipelineProcess, name: str) -> float:
    lines = pipeline.get("metrics", "/metrics")[1].decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"{name}{{"))


@pytest.mark.timeout(240)
def test_processes_killed_while_spans_stream_in_lose_nothing_and_store_nothing_twice(several: PipelineProcess) -> None:
    bodies = copies(SPANS)
    client = Client(several)
    client.up.set()
    sender = threading.Thread(target=client.send_all, args=(bodies,), daemon=True)
    sender.start()
    for name in [*processes(several)] * 2:
        kill_one(several, name)
    sender.join(WAIT_SECONDS)
    several.settle(120)
    total = sum(len(request_spans(body)) for body in bodies)
    rows, spans = several.query("SELECT count(), uniqExact(TraceId, SpanId) FROM otel_traces").split("\t")
    assert (int(rows), int(spans)) == (total, total)
    looping = [document["trace_id"] for document in several.detections("--type", "loop")]
    assert sorted(looping) == sorted({span.trace_id.hex() for body in bodies for span in request_spans(body)})


def test_counters_do_not_go_back_when_a_process_is_another_one(several: PipelineProcess) -> None:
    for path, body in payloads("strands-loop"):
        several.post(path, body)
    several.settle()
    before = counter(several, "otelcol_exporter_sent_spans")
    assert before == 21
    kill_one(several, "sinks")
    assert counter(several, "otelcol_exporter_sent_spans") == before
    for path, body in payloads("maf-loop"):
        several.post(path, body)
    several.settle()
    assert counter(several, "otelcol_exporter_sent_spans") == before + 14


def test_all_of_them_go_when_the_first_one_is_killed(several: PipelineProcess) -> None:
    assert several.process is not None
    others = processes(several).values()
    several.process.kill()
    several.process.wait()
    until(lambda: not any(lives(pid) for pid in others))
    several.start()
    assert whole(several)


def test_one_that_cannot_start_says_why_and_ends_the_command(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        endpoint = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = ("service::processes=3", f"extensions::clickhouse_http::endpoint={endpoint}")
        with pytest.raises(RuntimeError, match=rf"exited with 1: (.|\n)*clickhouse http cannot listen on {endpoint}"):
            PipelineProcess(tmp_path / "data", *settings).start()
