"""What the embedded engine may take of the memory: it is made for servers, and would take nine tenths of the machine.

Told to the engine when it is opened, by whoever opens it first: the sink, before any reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

MERGES_AT_A_TIME = 1
"""An insert and a merge are what two cores can do; each merge beside it would need its own memory."""
MERGES = {
    "vertical_merge_algorithm_min_rows_to_activate": 1,
    "merge_max_block_size_bytes": 2_097_152,
    "merge_selector_base": 10,
}
"""How tables merge: column by column, a few rows at a time. Small parts are else merged with all their columns open;
measured at 2,000 spans and steps an insert, the engine took at most 86 MiB with this and 228 without. And some ten
parts at a time instead of five, so that a row is written again less often: over 100 inserts of 2,000 spans merging took
12 µs of processor time a span instead of 24."""
MERGES_PART = 0.5
"""Of it all: no merge begins while merges hold more, so that there is always room for an insert."""
CACHES_PART = 0.05
"""Of it all, for each cache of marks and keys; reads are few beside inserts."""
CACHES = (
    "mark_cache_size",
    "primary_index_cache_size",
    "index_mark_cache_size",
    "query_condition_cache_size",
    "compiled_expression_cache_size",
)


class Tables(Protocol):
    """A store that is asked and told."""

    def query(self, sql: str) -> Iterable[Mapping[str, Any]]:
        """Ask; yields rows by column name."""

    def command(self, statement: str) -> None:
        """Run a statement that returns nothing."""


def merge_in_little_memory(store: Tables) -> None:
    """Have every table merge as `MERGES` says; one that does already is left alone."""
    settings = ", ".join(f"{name} = {value}" for name, value in MERGES.items())
    for row in store.query(OTHERS):
        store.command(f"ALTER TABLE {row['name']} MODIFY SETTING {settings}")


AS_MERGES_SAY = " AND ".join(f"create_table_query LIKE '%{name} = {value}%'" for name, value in MERGES.items())
OTHERS = (
    f"SELECT name FROM system.tables WHERE database = currentDatabase() "  # noqa: S608  # of our own constants
    f"AND engine LIKE '%MergeTree' AND NOT ({AS_MERGES_SAY})"
)


def engine_settings(bytes_: int) -> Mapping[str, int]:
    """Divide so many bytes within the engine: all it allocates, its merges, its caches."""
    return {
        "max_server_memory_usage": bytes_,
        "background_pool_size": MERGES_AT_A_TIME,
        "background_merges_mutations_concurrency_ratio": 1,
        "merges_mutations_memory_usage_soft_limit": int(bytes_ * MERGES_PART),
        **dict.fromkeys(CACHES, int(bytes_ * CACHES_PART)),
    }
