"""Commands that read, where the store is a server: by the DSN alone, whether or not a pipeline runs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import orjson
from clickhouse_fixtures import Place

from sinks.server_store import ServerStore

COMMAND = [sys.executable, "-m", "collector.cli.main"]
TOLD = {
    "id": "d1", "type": "loop", "severity": "high", "confidence": 0.9, "status": "open", "version": 1, "agent": None,
    "trace_id": "a" * 32, "run_id": "r1", "title": "twice", "detected_at": "2026-11-20T10:00:00Z", "service": "s",
    "event_time": "2026-11-20T10:00:00Z", "suggested_fix": None, "evidence": {}, "span_ids": [], "explanation": "e",
}  # fmt: skip


def tracemend(dsn: str, data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    told = ["--data-dir", str(data_dir), "--set", f"sinks::clickhouse::dsn={dsn}"]
    return subprocess.run([*COMMAND, *arguments, *told], capture_output=True, text=True, timeout=60, check=False)


def test_detections_and_runs_are_read_from_the_server(place: Place, tmp_path: Path) -> None:
    store = ServerStore(place.dsn)
    store.migrate()
    names = ("Tenant", "Id", "Version", "Type", "Status", "DetectedAt", "Json")
    row = ["default", "d1", 1, "loop", "open", time.time_ns(), orjson.dumps(TOLD).decode()]
    store.insert("detections", names, [[value] for value in row])
    store.insert("agent_steps", ("Tenant", "RunId", "SpanId", "Start"), [["default"], ["r1"], ["s1"], [time.time_ns()]])
    store.close()
    read = tracemend(place.dsn, tmp_path, "detections", "--format", "jsonl")
    assert read.stderr == ""
    assert (read.returncode, [json.loads(line) for line in read.stdout.splitlines()]) == (0, [TOLD])
    listed = tracemend(place.dsn, tmp_path, "runs", "--format", "jsonl")
    assert [json.loads(line)["RunId"] for line in listed.stdout.splitlines()] == ["r1"]


def test_a_database_that_no_sink_has_written_to_is_told_and_left_alone(place: Place, tmp_path: Path) -> None:
    read = tracemend(place.dsn, tmp_path, "detections")
    assert read.returncode == 1
    assert f"/{place.database}" in read.stderr
    assert "is not there" in read.stderr
    server = ServerStore(place.server.dsn("default"))
    assert not list(server.query("SELECT 1 FROM system.databases WHERE name = {name:String}", {"name": place.database}))


def test_a_server_that_is_gone_is_told_in_one_line(place: Place, tmp_path: Path) -> None:
    place.link.unplug()
    read = tracemend(place.faulty_dsn, tmp_path, "runs")
    assert read.returncode == 1
    assert "nothing listens there" in read.stderr
    assert len(read.stderr.splitlines()) == 1


def test_validate_says_what_is_wrong_with_a_dsn_without_the_password() -> None:
    dsn = "clickhouse://me:s3cr3t@db:9000/x"
    told = subprocess.run(
        [*COMMAND, "validate", "--set", f"sinks::clickhouse::dsn={dsn}"], capture_output=True, text=True, check=False
    )
    assert told.returncode == 2
    assert "sinks::clickhouse::dsn: 9000 is the port of ClickHouse's native protocol" in told.stderr
    assert "s3cr3t" not in told.stderr
