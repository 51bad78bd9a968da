"""What the embedded engine may take of the memory: it is made for servers, and would take nine tenths of the machine.

Told to the engine when it is opened, by whoever opens it first: the sink, before any reader.
"""

from __future__ import annotations

from collections.abc import Mapping

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


def engine_settings(bytes_: int) -> Mapping[str, int]:
    """Divide so many bytes within the engine: all it allocates, its merges, its caches."""
    return {
        "max_server_memory_usage": bytes_,
        "merges_mutations_memory_usage_soft_limit": int(bytes_ * MERGES_PART),
        **dict.fromkeys(CACHES, int(bytes_ * CACHES_PART)),
    }
