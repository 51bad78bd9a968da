"""The schema: numbered migrations, applied in their order, and what the configuration says of tables that are there.

Every statement may run any number of times, and while another sink runs it (`IF NOT EXISTS`, `OR REPLACE`), and a
migration is recorded once it is through. So nobody waits for a lock that a dead sink holds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any, Protocol

from sinks.table_layout import Layout, dated_tables, laid_out, literal, quoted

RECORDED = """CREATE TABLE IF NOT EXISTS schema_migrations (Name String, At DateTime DEFAULT now())
ENGINE = ReplacingMergeTree
ORDER BY Name"""
TABLES = "SELECT name, engine_full, storage_policy FROM system.tables WHERE database = currentDatabase()"


class Asked(Protocol):
    """A store, as the schema needs it."""

    def command(self, statement: str) -> None:
        """Run a statement."""

    def query(self, sql: str, parameters: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Ask."""

    def insert(self, table: str, names: Sequence[str], columns: Sequence[Sequence[Any]], token: str = "") -> None:
        """Insert columns."""


def migrations() -> Iterator[tuple[str, list[str]]]:
    """List the migrations in their order: name, statements."""
    folder = files("sinks") / "migrations"
    for name in sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql")):
        text = (folder / name).read_text("utf-8")
        yield name, [statement.strip() for statement in text.split(";\n") if statement.strip()]


def apply_migrations(store: Asked, layout: Layout, anew: bool = False) -> None:
    """Apply the migrations that are not recorded, or all of them `anew`; raises StoreError."""
    store.command(laid_out(RECORDED, layout))
    applied = {str(row["Name"]) for row in store.query("SELECT Name FROM schema_migrations")}
    for name, statements in migrations():
        if name in applied and not anew:
            continue
        for statement in statements:
            store.command(laid_out(statement, layout))
        if name not in applied:
            store.insert("schema_migrations", ("Name",), [[name]])


def apply_layout(store: Asked, layout: Layout) -> None:
    """Bring tables that are there to the days and the storage that are configured; what is not is left as it is."""
    dated = dated_tables([statement for _, statements in migrations() for statement in statements])
    for row in list(store.query(TABLES)):
        date = dated.get(row["name"])
        if date is not None:
            for change in _changes(layout, date, row["engine_full"], row["storage_policy"]):
                sys.stderr.write(f"sinks/clickhouse: {row['name']}: {change}, as configured\n")
                store.command(f"ALTER TABLE {quoted(row['name'])}{layout.on_cluster()} {change}")


def _changes(layout: Layout, date: str, engine: str, policy: str) -> Iterator[str]:
    if layout.storage_policy and layout.storage_policy != policy:
        yield f"MODIFY SETTING storage_policy = {literal(layout.storage_policy)}"
    if layout.says_how_long and layout.ttl(date) != _ttl_of(engine):
        yield f"MODIFY TTL {layout.ttl(date)}"


def _ttl_of(engine: str) -> str:
    """Read the TTL out of what the server says of a table."""
    return engine.partition(" TTL ")[2].partition(" SETTINGS ")[0]
