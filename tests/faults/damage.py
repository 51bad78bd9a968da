"""Fills a pipeline's store, and damages its parts as disks and people do."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from pipeline_process import PipelineProcess
from recorded_requests import requests, span_count

PARTS = "SELECT path FROM system.parts WHERE table = '{table}' AND active"
DATA = ("data.bin", "SpanId.bin")


def fill(pipeline: PipelineProcess, seed: int = 1) -> int:
    """Have spans stored; gives how many."""
    bodies = requests(seed=seed, count=4)
    for body in bodies:
        assert pipeline.post("/v1/traces", body)[0] == 200
    pipeline.settle()
    return span_count(bodies)


def parts_of(pipeline: PipelineProcess, table: str = "otel_traces") -> list[Path]:
    return [Path(line) for line in pipeline.query(PARTS.format(table=table)).splitlines()]


def stored(pipeline: PipelineProcess) -> tuple[int, int]:
    """Count the rows of spans, and the spans."""
    rows, spans = pipeline.query("SELECT count(), uniqExact(TraceId, SpanId) FROM otel_traces").split("\t")
    return int(rows), int(spans)


def flip(part: Path) -> None:
    """Change a few bytes in the middle of a part's data: nothing shows until they are read."""
    data = next(part / name for name in DATA if (part / name).exists())
    with data.open("r+b") as file:
        file.seek(data.stat().st_size // 2)
        was = file.read(4)
        file.seek(-4, os.SEEK_CUR)
        file.write(bytes(byte ^ 0xFF for byte in was))


def without_columns(part: Path) -> None:
    (part / "columns.txt").unlink()


def without_data(part: Path) -> None:
    for path in part.glob("*.bin"):
        path.unlink()


def cut_off(part: Path) -> None:
    data = next(part / name for name in DATA if (part / name).exists())
    os.truncate(data, data.stat().st_size // 2)


def forget(pipeline: PipelineProcess) -> None:
    """Have every record leave the log, as they do when they are old."""
    log = sqlite3.connect(pipeline.data_dir / "bus" / "bus.sqlite", isolation_level=None)
    for (table,) in log.execute("SELECT name FROM sqlite_master WHERE name LIKE 'log_otlp_spans_%'").fetchall():
        log.execute(f'DELETE FROM "{table}"')  # noqa: S608  # a name of the log's own
    log.close()
