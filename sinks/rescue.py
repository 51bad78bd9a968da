"""Brings the rows of damaged parts back: what can be read of the parts, then what the bus still holds of the rest.

What cannot be brought back is counted, by table, beside the damaged part, which is kept as it was. Doing it again
changes nothing: rows that are there are not inserted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import msgspec

from sinks.damaged_parts import Note, SetAside, set_aside_failing, set_aside_parts
from sinks.part_rows import rows_of_part
from sinks.replay import Replay
from sinks.store import Store

SPANS, LOOKED_UP, MIGRATIONS = "otel_traces", "otel_traces_trace_id_ts", "schema_migrations"
LOOKED_UP_AGAIN = (
    "INSERT INTO otel_traces_trace_id_ts SELECT TraceId, min(Timestamp), max(Timestamp) FROM otel_traces "
    "WHERE TraceId != '' AND _partition_id IN ({partitions}) GROUP BY TraceId"
)


class Rescued(msgspec.Struct):
    """What became of the rows of a table's damaged parts. None where nobody knows how many there were.

    `lost` is an upper bound where a table keeps one row of each key: parts may have held a key several times.
    """

    table: str
    partitions: list[str]
    parts: int
    rows: int | None
    from_parts: int
    from_bus: int
    lost: int | None
    kept_as: list[str]


def rescue(store: Store, replay: Replay | None) -> Iterator[Rescued]:
    """Bring back what can be of every part nobody has tried yet; raises StoreError, BusError, OSError."""
    while waiting := [part for part in set_aside_parts(store) if part.note is None]:
        table = min(waiting, key=_spans_first).table
        if any(set_aside_failing(store, read) for read in _read_for(table)):
            continue  # what a rescue reads has to be whole, and there is more to rescue now
        yield _rescued(store, replay, table, [part for part in waiting if part.table == table])


def _read_for(table: str) -> list[str]:
    """List the tables that are read to rescue one."""
    return [table, SPANS] if table == LOOKED_UP else [table]


def told_before(store: Store) -> Iterator[Rescued]:
    """Give what became of parts in the past; parts that somebody dropped since are forgotten."""
    tried = [(part, part.note) for part in set_aside_parts(store)]
    for table, found in groupby(tried, lambda pair: pair[0].table):
        pairs = [(part, note) for part, note in found if note is not None]
        if pairs:
            notes = [note for _, note in pairs]
            yield Rescued(
                table,
                sorted({part.partition for part, _ in pairs}),
                len(pairs),
                _sum([note.rows for note in notes]),
                sum(note.from_part for note in notes),
                sum(note.from_bus for note in notes),
                _sum([note.lost for note in notes]),
                [str(part.folder) for part, _ in pairs],
            )


def _rescued(store: Store, replay: Replay | None, table: str, parts: Sequence[SetAside]) -> Rescued:
    held = _sum([part.rows for part in parts])
    read = [rows_of_part(store, part) for part in parts]
    partitions = sorted({part.partition for part in parts})
    missing = None if held is None else held - sum(read)
    again = 0
    if missing is None or missing > 0:
        again = _found_elsewhere(store, replay, table, partitions, missing)
    lost = None if missing is None else max(0, missing - again)
    _write_notes(parts, read, again, lost)
    return Rescued(table, partitions, len(parts), held, sum(read), again, lost, [str(part.folder) for part in parts])


def _found_elsewhere(
    store: Store, replay: Replay | None, table: str, partitions: Sequence[str], missing: int | None
) -> int:
    """Bring back what other tables, the program itself or the bus know; gives how many rows."""
    if table == LOOKED_UP:
        listed = ", ".join(f"'{partition}'" for partition in partitions)
        store.command(LOOKED_UP_AGAIN.format(partitions=listed))
        return missing or 0
    if table == MIGRATIONS:
        return missing or 0  # each is made again at the start, which changes nothing, and recorded
    return replay.rows_for(store, table, partitions) if replay is not None else 0


def _write_notes(parts: Sequence[SetAside], read: Sequence[int], again: int, lost: int | None) -> None:
    """Write down what became of each; what is known of all together stands with the first."""
    for part, from_part in zip(parts, read, strict=True):
        part.write_note(Note(part.rows, from_part, again, lost))
        again, lost = 0, 0


def _spans_first(part: SetAside) -> tuple[bool, str, str]:
    """Order parts by table, what is looked up from the spans after the spans."""
    return part.table == LOOKED_UP, part.table, part.partition


def _sum(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
