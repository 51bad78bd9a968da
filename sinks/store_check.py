"""What `tracemend store check` and `repair` do to a store that nobody else has open: count what is damaged, mend it.

A damaged part is either in use, because the byte that was changed has not been read yet, or set aside by the engine or
by us. Checking changes nothing; the engine itself sets aside what it cannot open, whoever opens the store.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from sinks.damaged_parts import SetAside, active_parts, damage_of, set_aside, set_aside_parts
from sinks.part_rows import readable_rows
from sinks.replay import Replay
from sinks.rescue import Rescued, rescue
from sinks.store import Store

IN_USE = (
    "SELECT table, name, partition_id AS partition, min_block_number AS first, max_block_number AS last, level, path, "
    "rows FROM system.parts WHERE database = currentDatabase() AND active AND NOT startsWith(table, 'held_')"
)


class TableFound(msgspec.Struct):
    """How a table is. Rows are those of sound parts; None where nobody knows how many.

    `damaged` parts nobody has mended yet hold `damaged_rows`, of which `readable` can be read from them; of the others
    the bus may still have some. `mended` parts were set aside before, and `lost` of their rows were found nowhere.
    """

    table: str
    parts: int = 0
    rows: int = 0
    damaged: int = 0
    damaged_rows: int | None = 0
    readable: int = 0
    mended: int = 0
    brought_back: int = 0
    lost: int | None = 0
    reasons: list[str] = []

    @property
    def is_sound(self) -> bool:
        """Say whether nothing of it is damaged, nor waits to be put away."""
        return not self.damaged and not self.mended


def look_through(store: Store) -> list[TableFound]:
    """Read every part of every table, and compare it with its checksums; raises StoreError."""
    tables: dict[str, TableFound] = {}
    in_use = {(row["table"], row["name"]): row for row in store.query(IN_USE)}
    for part in active_parts(store):
        found = tables.setdefault(part.table, TableFound(part.table))
        row = in_use[part.table, part.name]
        damage = damage_of(store, part)
        if damage:
            block = f"{row['partition']}_{row['first']}_{row['last']}_{row['level']}"
            _add_damaged(store, found, SetAside(part.table, str(row["partition"]), block, part.folder), damage)
        else:
            found.parts += 1
            found.rows += int(row["rows"])
    for aside in set_aside_parts(store):
        _add_set_aside(store, tables.setdefault(aside.table, TableFound(aside.table)), aside)
    return [tables[name] for name in sorted(tables)]


def mend(store: Store, replay: Replay | None) -> Iterator[Rescued]:
    """Set aside what is damaged and bring back what can be; raises StoreError, BusError, OSError."""
    for part in active_parts(store):
        damage = damage_of(store, part)
        if damage:
            set_aside(store, part, damage)
    yield from rescue(store, replay)


def put_away(parts: Iterable[SetAside], folder: Path) -> list[Path]:
    """Move parts that were mended out of the store, each with the note of what became of it; gives where they are."""
    moved = []
    for part in parts:
        if part.note is not None:
            place = _free(folder / part.table / part.folder.name)
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            moved.append(Path(shutil.move(part.folder, place)))
    return moved


def _add_damaged(store: Store, found: TableFound, part: SetAside, reason: str) -> None:
    found.damaged += 1
    found.damaged_rows = _plus(found.damaged_rows, part.rows)
    found.readable += readable_rows(store, part)
    found.reasons.append(f"{part.block or part.folder.name}: {reason}")


def _add_set_aside(store: Store, found: TableFound, part: SetAside) -> None:
    note = part.note
    if note is None:
        _add_damaged(store, found, part, "it cannot be opened, and was set aside")
        return
    found.mended += 1
    found.brought_back += note.from_part + note.from_bus
    found.lost = _plus(found.lost, note.lost)


def _plus(count: int | None, more: int | None) -> int | None:
    return None if count is None or more is None else count + more


def _free(place: Path) -> Path:
    """Give a name that nothing has: the engine numbers parts anew in a table that was made again."""
    number, free = 1, place
    while free.exists():
        number, free = number + 1, place.with_name(f"{place.name}.{number}")
    return free
