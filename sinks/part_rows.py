"""Reads a damaged part as far as it can be read, and takes those rows over: damage costs the granules it is in.

The part itself is left as it is: a copy is attached to a table made for it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sinks.damaged_parts import NOTE, SetAside
from sinks.held_table import HeldTable, held_like
from sinks.part_damage import is_damage
from sinks.store import Store, StoreError

CHECKSUMS, COLUMNS = "checksums.txt", "columns.txt"

Mend = Callable[[Path], None]


def rows_of_part(store: Store, part: SetAside) -> int:
    """Take over the rows of a damaged part that can be read; gives how many can. Raises StoreError, OSError."""
    if not part.block:
        return 0
    with held_like(store, part.table) as held:
        if not _attached(store, held, part):
            return 0
        readable = list(_readable(held, held.granules()))
        for first, end in readable:
            held.take_over(held.missing(_between(first, end), [part.partition]))
        return sum(end - first for first, end in readable)


def readable_rows(store: Store, part: SetAside) -> int:
    """Count the rows of a damaged part that can be read, and take none over; raises StoreError, OSError."""
    if not part.block:
        return 0
    with held_like(store, part.table) as held:
        if not _attached(store, held, part):
            return 0
        return sum(end - first for first, end in _readable(held, held.granules()))


def _readable(held: HeldTable, ends: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Give the ranges of rows that can be read: the first, and the one after the last. `ends` are those of granules.

    Halved and not tried one by one: the engine takes seconds to say what is wrong, and none to read what is whole.
    """
    starts = [0, *ends]
    to_try = [(0, len(ends))]
    while to_try:
        first, end = to_try.pop()
        if held.readable(_between(starts[first], starts[end])):
            yield starts[first], starts[end]
        elif end - first > 1:
            middle = (first + end) // 2
            to_try += [(middle, end), (first, middle)]


def _between(first: int, end: int) -> str:
    return f"_part_offset >= {first} AND _part_offset < {end}"


def _attached(store: Store, held: HeldTable, part: SetAside) -> bool:
    """Attach a copy: as it is, or with what the engine can do without, or make again, left out or written anew."""
    return any(_attached_after(store, held, part, mend) for mend in _mends(store, part.table))


def _mends(store: Store, table: str) -> list[Mend]:
    def without_checksums(copy: Path) -> None:
        (copy / CHECKSUMS).unlink(missing_ok=True)

    def columns_anew(copy: Path) -> None:
        without_checksums(copy)
        (copy / COLUMNS).write_text(_columns_of(store, table), "utf-8")

    return [lambda _: None, without_checksums, columns_anew]


def _attached_after(store: Store, held: HeldTable, part: SetAside, mend: Mend) -> bool:
    copy = held.folder / "detached" / part.block
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(part.folder, copy, copy_function=_linked, ignore=shutil.ignore_patterns(NOTE))
    mend(copy)
    try:
        store.command(f"ALTER TABLE {held.name} ATTACH PART '{part.block}'")
    except StoreError as error:
        if is_damage(error):
            return False
        raise
    return True


def _linked(source: str, target: str) -> None:
    """Copy what is small; of data, which the engine never changes, the copy is another name."""
    if source.endswith(".bin"):
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def _columns_of(store: Store, table: str) -> str:
    """Write the list of columns as the engine does."""
    columns = [f"`{row['name']}` {row['type']}\n" for row in store.query(f"DESCRIBE TABLE {table}")]
    return f"columns format version: 1\n{len(columns)} columns:\n{''.join(columns)}"
