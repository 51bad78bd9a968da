"""A damaged part of many granules: only the granule with the damage is lost, and twice changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sinks.damaged_parts import active_parts, damage_of, set_aside, set_aside_parts
from sinks.rescue import rescue, told_before
from sinks.store import Store

ROWS = 20_000
SPANS = (
    "INSERT INTO otel_traces (Timestamp, TraceId, SpanId, SpanName, ServiceName) SELECT now64(9), "
    "hex(sipHash128(number)), hex(sipHash64(number)), toString(number % 50), 'shop' FROM numbers({rows})"
)
STEPS = (
    "INSERT INTO agent_steps (Tenant, RunId, Start, SpanId) "
    "SELECT 't', toString(number), now64(9), 's' FROM numbers(1000)"
)


def count(store: Store, table: str = "otel_traces") -> int:
    (row,) = store.query(f"SELECT count(ignore(*)) AS n FROM {table}")  # noqa: S608  # a name of ours
    return int(row["n"])


def spoil(part: Path) -> None:
    path = max(part.glob("*.bin"), key=lambda file: file.stat().st_size)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(bytes(8))


@pytest.mark.timeout(300)
def test_damage_costs_the_granule_it_is_in_and_is_counted(store: Store) -> None:
    store.command(SPANS.format(rows=ROWS))
    (part,) = [part for part in active_parts(store) if part.table == "otel_traces"]
    assert damage_of(store, part) == ""
    spoil(part.folder)
    assert "CHECKSUM_DOESNT_MATCH" in damage_of(store, part)
    set_aside(store, part, "")
    (told,) = rescue(store, None)
    assert (told.table, told.rows, told.from_parts, told.from_bus) == ("otel_traces", ROWS, count(store), 0)
    assert told.lost == ROWS - told.from_parts
    assert 0 < told.lost < 2 * 8_192  # the last granule of a part is larger by what is left
    assert list(rescue(store, None)) == []
    assert [again.lost for again in told_before(store)] == [told.lost]
    (kept,) = set_aside_parts(store)
    store.command(f"ALTER TABLE otel_traces DROP DETACHED PART '{kept.folder.name}' SETTINGS allow_drop_detached = 1")
    assert list(told_before(store)) == []


def test_rows_with_values_that_are_null_are_compared_too(store: Store) -> None:
    store.command(STEPS)
    (part,) = [part for part in active_parts(store) if part.table == "agent_steps"]
    os.truncate(part.folder / "checksums.txt", 10)
    assert damage_of(store, part)
    set_aside(store, part, "")
    (told,) = rescue(store, None)
    assert (told.from_parts, told.lost, count(store, "agent_steps")) == (1000, 0, 1000)
    for kept in set_aside_parts(store):
        store.command(
            f"ALTER TABLE agent_steps DROP DETACHED PART '{kept.folder.name}' SETTINGS allow_drop_detached = 1"
        )
