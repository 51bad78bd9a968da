"""A user of the server's that reads the sink's database and nothing else, within limits: Grafana's.

It is made where it is missing and never changed: who keeps the server may give it another password or other limits.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from typing import NamedTuple

from sinks.table_layout import Layout, literal, quoted

LIMITS = (
    "readonly = 2",  # may set what Grafana's plugin sets for a question, and write nothing
    "max_execution_time = 60 MAX 300",
    "max_memory_usage = 4000000000 MAX 8000000000",
    "max_result_rows = 1000000 MAX 10000000",
    "max_concurrent_queries_for_user = 20 READONLY",
)


class Reader(NamedTuple):
    """Who reads."""

    user: str
    password: str


def statements_for(reader: Reader, database: str, layout: Layout) -> Iterator[str]:
    """Write what makes the user and lets it read; the password itself is in none of it, nor so in a log."""
    salt = secrets.token_hex(16)
    digest = hashlib.sha256((reader.password + salt).encode()).hexdigest()
    user, cluster = quoted(reader.user), layout.on_cluster()
    yield (
        f"CREATE USER IF NOT EXISTS {user}{cluster} IDENTIFIED WITH sha256_hash BY {literal(digest.upper())} "
        f"SALT {literal(salt)} DEFAULT DATABASE {quoted(database)} SETTINGS {', '.join(LIMITS)}"
    )
    yield f"GRANT{cluster} SELECT ON {quoted(database)}.* TO {user}"
