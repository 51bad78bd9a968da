"""Parts of tables that are damaged, under a running pipeline: their rows come back, and what does not is counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from damage import cut_off, fill, flip, forget, parts_of, stored, without_columns, without_data
from pipeline_process import PipelineProcess

pytestmark = pytest.mark.timeout(240)
LOST = 'tracemend_store_lost_rows{table="otel_traces"}'
BROKEN = 'tracemend_store_broken_parts{table="otel_traces"}'
ENGINE = "SELECT engine FROM system.tables WHERE name = '{table}'"
ALL = "SELECT count(), sum(cityHash64(tuple(*))) FROM {table} {final}"
LOOKED_UP = (
    "SELECT count(), sum(cityHash64(TraceId, s, e)) FROM "
    "(SELECT TraceId, min(Start) AS s, max(End) AS e FROM otel_traces_trace_id_ts GROUP BY TraceId)"
)


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[PipelineProcess]:
    made = PipelineProcess(tmp_path / "data").start()
    yield made
    made.kill_if_running()


def metric(pipeline: PipelineProcess, name: str) -> float | None:
    found = [line for line in pipeline.get("metrics", "/metrics")[1].decode().splitlines() if line.startswith(name)]
    return float(found[0].rsplit(" ", 1)[1]) if found else None


def wait_for(what: Callable[[], bool], pipeline: PipelineProcess) -> None:
    until = time.monotonic() + 60
    while not what():
        assert time.monotonic() < until, pipeline.log()
        time.sleep(0.2)


@pytest.mark.parametrize("damage", [without_columns, without_data, cut_off, flip])
def test_rows_of_damaged_parts_come_back_each_once_and_what_comes_then_is_stored(
    pipeline: PipelineProcess, damage: Callable[[Path], None]
) -> None:
    before = fill(pipeline)
    parts = parts_of(pipeline)
    traces = pipeline.query("SELECT uniqExact(TraceId) FROM otel_traces_trace_id_ts")
    assert pipeline.stop() == 0
    for part in parts:
        damage(part)
    pipeline.start()
    wait_for(lambda: rescued(pipeline) and answers(pipeline) == (before, before), pipeline)
    wait_for(lambda: metric(pipeline, BROKEN) == len(parts), pipeline)
    assert metric(pipeline, LOST) == 0
    after = fill(pipeline, seed=2)
    assert stored(pipeline) == (before + after, before + after)
    assert pipeline.stop() == 0
    pipeline.start()
    pipeline.settle()
    assert stored(pipeline) == (before + after, before + after)
    assert int(pipeline.query("SELECT uniqExact(TraceId) FROM otel_traces_trace_id_ts")) > int(traces)


def test_what_no_bus_holds_any_more_is_counted_and_told_at_every_start(pipeline: PipelineProcess) -> None:
    before = fill(pipeline)
    assert pipeline.stop() == 0
    pipeline.start()
    before += fill(pipeline, seed=2)
    parts = parts_of(pipeline)
    assert pipeline.stop() == 0
    forget(pipeline)
    flip(parts[0])
    held = int((parts[0] / "count.txt").read_text())
    for _ in range(2):
        pipeline.start()
        wait_for(lambda: (metric(pipeline, LOST) or 0) > 0, pipeline)
        assert metric(pipeline, LOST) == held
        assert answers(pipeline) == (before - held, before - held)
        assert pipeline.stop() == 0
    assert f"{held} are lost" in pipeline.log()


def test_every_table_has_its_rows_again(pipeline: PipelineProcess) -> None:
    fill(pipeline)
    tables = pipeline.query(
        "SELECT DISTINCT table FROM system.parts WHERE active AND database = 'default' "
        "AND table NOT IN ('schema_migrations', 'otel_traces_trace_id_ts') ORDER BY table"
    ).splitlines()
    assert {"otel_traces", "agent_steps", "detections", "cost_metrics_rows"} <= set(tables)
    before = {table: all_of(pipeline, table) for table in tables}
    looked_up = pipeline.query(LOOKED_UP)
    parts = [part for table in (*tables, "otel_traces_trace_id_ts") for part in parts_of(pipeline, table)]
    assert pipeline.stop() == 0
    for part in parts:
        without_data(part)
    pipeline.start()
    wait_for(lambda: metric(pipeline, LOST.replace("otel_traces", "otel_traces_trace_id_ts")) == 0, pipeline)
    assert {table: all_of(pipeline, table) for table in tables} == before
    assert pipeline.query(LOOKED_UP) == looked_up
    assert pipeline.stop() == 0


def all_of(pipeline: PipelineProcess, table: str) -> str:
    """Count what a table keeps, and sum up every value of it."""
    engine = pipeline.query(ENGINE.format(table=table))
    return pipeline.query(ALL.format(table=table, final="FINAL" if "Replacing" in engine else ""))


def rescued(pipeline: PipelineProcess) -> bool:
    return metric(pipeline, LOST) is not None


def answers(pipeline: PipelineProcess) -> tuple[int, int]:
    """Read every value of every span; (0, 0) where the store cannot."""
    try:
        pipeline.query("SELECT sum(cityHash64(tuple(*))) FROM otel_traces")
        return stored(pipeline)
    except RuntimeError:
        return 0, 0
