"""Parts of the embedded store's tables that are damaged: which are, and how they are set aside.

The engine sets a part aside by itself where it cannot open it at the start; a byte that was flipped shows only when it
is read, and then stops every question that comes by. So parts are also checked, and set aside where they fail.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import msgspec

from sinks.store import Store, StoreError

BROKEN = "broken"
NOTE = "tracemend_rescue.json"
"""What became of a part's rows, written beside them once that is known."""
FOUND = (
    "SELECT table, coalesce(partition_id, '') AS partition, name, path, min_block_number AS first, "
    "max_block_number AS last, level FROM system.detached_parts "
    "WHERE database = currentDatabase() AND startsWith(reason, 'broken') AND NOT startsWith(table, 'held_') "
    "ORDER BY table, name"
)
ACTIVE = (
    "SELECT table, name, path FROM system.parts WHERE database = currentDatabase() AND active "
    "AND NOT startsWith(table, 'held_') ORDER BY table, name"
)
GONE = ("no such data part", "NO_SUCH_DATA_PART", "UNKNOWN_TABLE")


class Note(msgspec.Struct):
    """What became of the rows of one part; None where nobody knows."""

    rows: int | None
    from_part: int
    from_bus: int
    lost: int | None


class SetAside(NamedTuple):
    """A damaged part that was set aside, in a folder of its own. `block` is how the engine numbers it."""

    table: str
    partition: str
    block: str
    folder: Path

    @property
    def rows(self) -> int | None:
        """Say how many rows it held; None where that cannot be read either."""
        try:
            return int((self.folder / "count.txt").read_text("ascii"))
        except (OSError, ValueError):
            return None

    @property
    def note(self) -> Note | None:
        """Give what became of its rows; None where nobody has tried yet."""
        try:
            return msgspec.json.decode((self.folder / NOTE).read_bytes(), type=Note)
        except (OSError, msgspec.DecodeError):
            return None

    def write_note(self, note: Note) -> None:
        """Say what became of its rows, so that nobody tries again."""
        (self.folder / NOTE).write_bytes(msgspec.json.encode(note))


class ActivePart(NamedTuple):
    """A part that is in use."""

    table: str
    name: str
    folder: Path


def set_aside_parts(store: Store) -> list[SetAside]:
    """List the damaged parts that were set aside."""
    return [
        SetAside(
            str(row["table"]),
            str(row["partition"]),
            f"{row['partition']}_{row['first']}_{row['last']}_{row['level']}" if row["partition"] else "",
            Path(row["path"]),
        )
        for row in store.query(FOUND)
    ]


def active_parts(store: Store) -> list[ActivePart]:
    """List the parts in use."""
    return [ActivePart(str(row["table"]), str(row["name"]), Path(row["path"])) for row in store.query(ACTIVE)]


def damage_of(store: Store, part: ActivePart) -> str:
    """Read a whole part and compare it with its checksums; gives what is wrong with it, nothing where it is whole."""
    try:
        checked = store.told(
            f"CHECK TABLE {part.table} PART '{part.name}' SETTINGS check_query_single_value_result = 0"
        )
    except StoreError as error:
        if any(text in str(error) for text in GONE):
            return ""  # merged into another one since it was listed
        raise
    _, whole, what = checked
    return "" if whole == "1" else what.replace("\\'", "'") or "it does not match its checksums"


def set_aside(store: Store, part: ActivePart, damage: str) -> None:
    """Take a damaged part out of its table, so that the rest answers again, and call it what the engine calls such."""
    store.command(f"ALTER TABLE {part.table} DETACH PART '{part.name}'")
    folder = part.folder.parent / "detached"
    (folder / part.name).rename(folder / f"{BROKEN}_{part.name}")
    sys.stderr.write(f"sinks/clickhouse: part {part.name} of {part.table} is damaged and was set aside: {damage}\n")


def set_aside_failing(store: Store, table: str) -> int:
    """Check every part of a table that is in use, and set those aside that are damaged; gives how many."""
    found = [(part, damage_of(store, part)) for part in active_parts(store) if part.table == table]
    for part, damage in found:
        if damage:
            set_aside(store, part, damage)
    return sum(1 for _, damage in found if damage)
