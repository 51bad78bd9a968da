"""A table like another one, for as long as a rescue takes: rows are put into it, compared, and taken over.

What comes out of it is inserted once: rows the other table has already are left where they are. Rows are compared as
tuples, since a hash of several values is NULL where one of them is.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

from sinks.part_damage import is_damage
from sinks.store import HELD_TABLE, Store, StoreError

HASH = "cityHash64(tuple(*))"
PIECEMEAL = (
    "SETTINGS insert_deduplicate = 0, max_threads = 1, max_insert_threads = 1, max_block_size = 8192, "
    "min_insert_block_size_rows = 65536, min_insert_block_size_bytes = 67108864"
)
"""Rows are taken over in small blocks, and are not left out because the same were inserted and lost before."""
DATA_PATHS = "SELECT data_paths FROM system.tables WHERE database = currentDatabase() AND name = {name:String}"
GRANULES = (
    "SELECT rows_in_granule AS rows FROM mergeTreeIndex(currentDatabase(), {name:String}) "
    "WHERE rows_in_granule > 0 ORDER BY mark_number"
)
READ_ALL = "SELECT sum({hash}) AS all FROM {held} WHERE {where} SETTINGS max_threads = 1"
COUNT = "SELECT {what} AS n FROM {held} WHERE {where}"
TAKE_OVER = "INSERT INTO {table} SELECT * FROM {held} WHERE {where} "
MISSING = "{where} AND {hash} NOT IN (SELECT {hash} FROM {table} WHERE _partition_id IN ({partitions}))"


class HeldTable:
    """A table like `table`, empty at first. Owned by one thread."""

    def __init__(self, store: Store, table: str, name: str) -> None:
        self.name = name
        self._store = store
        self._table = table

    @property
    def folder(self) -> Path:
        """Say where its parts are."""
        (row,) = self._store.query(DATA_PATHS, {"name": self.name})
        return Path(row["data_paths"][0])

    def readable(self, where: str) -> bool:
        """Say whether rows can be read, every value of them; raises StoreError where that is nobody's damage."""
        try:
            list(self._store.query(READ_ALL.format(hash=HASH, held=self.name, where=where)))
        except StoreError as error:
            if is_damage(error):
                return False
            raise
        return True

    def count(self, what: str = "count()", where: str = "1") -> int:
        """Count rows, or what else is asked of them."""
        (row,) = self._store.query(COUNT.format(what=what, held=self.name, where=where))
        return int(row["n"])

    def granules(self) -> list[int]:
        """Give where the granules of its only part end: the engine reads no less than one of them at once."""
        rows = self._store.query(GRANULES, {"name": self.name})
        return [end for end in accumulate(int(row["rows"]) for row in rows) if end]

    def missing(self, where: str, partitions: Sequence[str]) -> str:
        """Give the condition of rows that the other table does not have in these partitions."""
        listed = ", ".join(f"'{partition}'" for partition in partitions)
        return MISSING.format(where=where, hash=HASH, table=self._table, partitions=listed)

    def take_over(self, where: str) -> None:
        """Insert rows into the other table."""
        self._store.command(TAKE_OVER.format(table=self._table, held=self.name, where=where) + PIECEMEAL)


@contextmanager
def held_like(store: Store, table: str) -> Iterator[HeldTable]:
    """Make a table like another one, and drop it in the end; one that is left behind is dropped at a later start."""
    held = HeldTable(store, table, f"{HELD_TABLE}{secrets.token_hex(8)}")
    store.command(f"CREATE TABLE {held.name} AS {table}")
    try:
        store.command(f"SYSTEM STOP MERGES {held.name}")
        yield held
    finally:
        store.command(f"DROP TABLE IF EXISTS {held.name} SYNC")
