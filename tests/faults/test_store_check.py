"""`tracemend store check` and `repair` on parts that are really damaged: what is said, and what comes of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from damage import cut_off, fill, flip, forget, parts_of, stored, without_columns
from pipeline_process import TRACEMEND, PipelineProcess

pytestmark = pytest.mark.timeout(240)
SPANS = "otel_traces"
JSON = ("--format", "json")


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[PipelineProcess]:
    made = PipelineProcess(tmp_path / "data").start()
    yield made
    made.kill_if_running()


def store(pipeline: PipelineProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*TRACEMEND, "store", *arguments, "--data-dir", str(pipeline.data_dir)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def of_spans(told: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return next(row for row in json.loads(told.stdout) if row["table"] == SPANS)


def stopped_with_damage(pipeline: PipelineProcess, damage: Callable[[Path], None]) -> tuple[int, list[Path]]:
    """Fill a pipeline, stop it, and damage every part of its spans; gives how many there are, and the parts."""
    spans, parts = fill(pipeline), parts_of(pipeline)
    assert pipeline.stop() == 0
    for part in parts:
        damage(part)
    return spans, parts


def test_a_store_that_is_whole_is_counted_and_left_alone(pipeline: PipelineProcess) -> None:
    spans = fill(pipeline)
    running = store(pipeline, "check")
    assert (running.returncode, "stop it" in running.stderr, "/healthz" in running.stderr) == (2, True, True)
    assert pipeline.stop() == 0
    told = store(pipeline, "check", *JSON)
    assert (told.returncode, of_spans(told)["rows"], of_spans(told)["damaged"]) == (0, spans, 0)
    repaired = store(pipeline, "repair")
    assert (repaired.returncode, "nothing to repair" in repaired.stderr) == (0, True)


@pytest.mark.parametrize("damage", [without_columns, cut_off, flip])
def test_damage_is_found_mended_from_part_and_bus_and_put_away(
    pipeline: PipelineProcess, damage: Callable[[Path], None]
) -> None:
    spans, parts = stopped_with_damage(pipeline, damage)
    for _ in range(2):  # checking mends nothing
        told = store(pipeline, "check", *JSON)
        found = of_spans(told)
        assert told.returncode == 1
        assert (found["rows"], found["damaged"], found["damaged_rows"]) == (0, len(parts), spans)
        assert found["readable"] == (spans if damage is without_columns else 0)
    shown = store(pipeline, "check")
    assert shown.returncode == 1
    assert SPANS in shown.stdout
    assert "tracemend store repair" in shown.stderr
    repaired = store(pipeline, "repair", *JSON)
    row = of_spans(repaired)
    assert repaired.returncode == 0, repaired.stderr
    assert (row["rows"], row["from_parts"] + row["from_bus"], row["lost"]) == (spans, spans, 0)
    away = list((pipeline.data_dir / "damaged" / SPANS).iterdir())
    assert len(away) == len(parts)
    assert all((part / "tracemend_rescue.json").exists() for part in away)
    after = store(pipeline, "check", *JSON)
    assert (after.returncode, of_spans(after)["rows"]) == (0, spans)
    pipeline.start()
    pipeline.settle()
    assert stored(pipeline) == (spans, spans)
    assert json.loads(pipeline.get("metrics", "/healthz")[1])["status"] == "ok"


def test_what_neither_has_is_said_to_be_lost(pipeline: PipelineProcess) -> None:
    spans, _ = stopped_with_damage(pipeline, flip)
    forget(pipeline)
    repaired = store(pipeline, "repair", *JSON)
    assert repaired.returncode == 1
    assert of_spans(repaired)["lost"] == spans
    assert "not every row" in repaired.stderr
    assert store(pipeline, "check").returncode == 0


def test_health_says_what_was_damaged_and_what_to_do_and_goes_on(pipeline: PipelineProcess) -> None:
    spans, parts = stopped_with_damage(pipeline, without_columns)
    pipeline.start()
    sink: dict[str, str] = {}
    while sink.get("status") != "degraded" or "no row is lost" not in sink["error"]:
        status, body = pipeline.get("metrics", "/healthz")
        health = json.loads(body)
        sink = health["components"]["sinks/clickhouse"]
    assert (status, health["status"]) == (200, "degraded")
    assert f"{len(parts)} damaged part(s) of {SPANS}" in sink["error"]
    assert "tracemend store repair" in sink["error"]
    more = fill(pipeline, seed=2)
    assert stored(pipeline) == (spans + more, spans + more)
    assert pipeline.stop() == 0
    waiting = store(pipeline, "check", *JSON)
    assert (waiting.returncode, of_spans(waiting)["mended"], of_spans(waiting)["brought_back"]) == (
        1,
        len(parts),
        spans,
    )
    assert store(pipeline, "repair").returncode == 0
    pipeline.start()
    assert json.loads(pipeline.get("metrics", "/healthz")[1])["status"] == "ok"


def test_there_is_nothing_to_check_where_no_store_is_and_a_server_looks_after_itself(tmp_path: Path) -> None:
    nothing = store(PipelineProcess(tmp_path / "none"), "check")
    assert nothing.returncode == 0
    server = ("--set", "sinks::clickhouse::dsn=clickhouse://u:p@127.0.0.1:1/d")
    refused = store(PipelineProcess(tmp_path / "none"), "check", *server)
    assert (refused.returncode, "CHECK TABLE" in refused.stderr) == (2, True)
