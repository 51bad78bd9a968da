"""The store: opened by its DSN through clickhouse-connect, brought to the newest schema, and asked.

StoreError
├── StoreUnavailable    later: it does not answer, or not now
│   ├── StoreAway       a server that may come by itself: what waits for it may start without it
│   └── StoreAsks       somebody has to set something right first
└── StatementRefused    never: it does not accept what was sent (`error_codes.py`)
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sinks.engine_memory import merge_in_little_memory
from sinks.error_codes import Kind, kind_of
from sinks.schema import apply_layout, apply_migrations
from sinks.store_folder import make_store_folder_writable
from sinks.table_layout import Layout

EMBEDDED = "chdb:"

INSERT_SETTINGS = {"materialize_skip_indexes_on_insert": 0}
"""Skip indexes are made when parts are merged: made with every insert they cost as much as all the rest of it, and
parts that are not merged yet are small."""
DEFAULTS_TO_NOTHING = re.compile(r"(LowCardinality\()?(String|Map\(|Array\(|U?Int\d|Float\d|Bool)")
"""Types whose default is their empty value."""
DICTIONARY = re.compile(r"LowCardinality\((\w+)\)")
"""A column whose values the engine keeps in a dictionary. It makes that itself, of plain values: an insert of 10,000
spans and steps took 13.5 µs a span so, and 21 where the driver made it, in Python."""
STACK_DUMP = re.compile(r"[,:\s]*(Stack trace[^\n]*)?\n\s*0\. [^\n]* @ 0x.*", re.DOTALL)
"""What the engine puts behind some of its errors, for its own authors."""
HELD_TABLE, HELD_SECONDS = "held_", 3_600
"""How tables are called that hold rows while they are compared with a table's, and how long that takes at most."""
INSERT_MISSING = (
    "INSERT INTO {table} SELECT * FROM {held} WHERE cityHash64(*) NOT IN ("
    "SELECT cityHash64(*) FROM {table} "
    "WHERE Timestamp BETWEEN (SELECT min(Timestamp) FROM {held}) AND (SELECT max(Timestamp) FROM {held}))"
)
LEFT_BEHIND = (
    "SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, {prefix:String}) "
    "AND metadata_modification_time < now() - {seconds:UInt32}"
)
BROKEN_PARTS = (
    "SELECT table, count() AS parts FROM system.detached_parts "
    "WHERE database = currentDatabase() AND startsWith(reason, 'broken') GROUP BY table"
)


class StoreError(Exception):
    """The store did not do what was asked."""

    later = False


class StoreUnavailable(StoreError):  # noqa: N818  # named by what the caller should know
    """The store does not answer, or cannot now."""

    later = True


class StoreAway(StoreUnavailable):
    """A server does not answer, or cannot now; it may by itself."""

    starts_without = True


class StoreAsks(StoreUnavailable):
    """The store waits for somebody: a right, a password, a table is missing."""


class StatementRefused(StoreError):  # noqa: N818  # as above
    """The store does not accept a statement or what it brings."""


RAISED: dict[Kind, type[StoreError]] = {
    Kind.LATER: StoreUnavailable,
    Kind.ASKS: StoreAsks,
    Kind.NEVER: StatementRefused,
}


class Store:
    """One connection; owned by one thread. `engine` are settings of the embedded engine, for the first to open it."""

    insert_settings: Mapping[str, Any] = INSERT_SETTINGS

    def __init__(self, dsn: str, engine: Mapping[str, int] | None = None, layout: Layout | None = None) -> None:
        self._layout = layout or Layout()
        self._engine = engine or {}
        self._client = _connect(dsn, self._engine)
        self._types: dict[str, dict[str, str]] = {}

    def migrate(self) -> None:
        """Bring the store to the newest schema and to what is configured of it."""
        apply_migrations(self, self._layout)
        apply_layout(self, self._layout)
        if self._engine:
            merge_in_little_memory(self)
        self._drop_held()

    def broken_parts(self) -> dict[str, int]:
        """Count by table the parts that were set aside as damaged, with all their rows: the store itself is silent."""
        return {str(row["table"]): int(row["parts"]) for row in self.query(BROKEN_PARTS)}

    def ping(self) -> None:
        """Ask for nothing; raises StoreUnavailable where no answer comes."""
        self.command("SELECT 1")

    def command(self, statement: str) -> None:
        """Run a statement that returns nothing."""
        with self._errors():
            self._client.command(statement)

    def told(self, statement: str) -> list[str]:
        """Run a statement that answers with one row of a kind of its own, as CHECK TABLE does."""
        with self._errors():
            answer = self._client.command(statement)
        return [str(value) for value in answer] if isinstance(answer, (list, tuple)) else [str(answer)]

    def insert(self, table: str, names: Sequence[str], columns: Sequence[Sequence[Any]], token: str = "") -> None:
        """Insert columns; the same token again inserts nothing where the table remembers tokens."""
        settings = {**self.insert_settings} | ({"insert_deduplication_token": token} if token else {})
        types = self._types_of(table)
        names, columns = _filled(names, columns, types)
        sent = {name: DICTIONARY.sub(r"\1", types[name]) for name in names}
        with self._errors(), self._context(table, sent, settings) as context:
            self._client.insert(data=columns, context=context)

    def insert_missing(
        self,
        table: str,
        names: Sequence[str],
        columns: Sequence[Sequence[Any]],
        token: str = "",  # noqa: ARG002  # for stores where an insert may still be under way
    ) -> None:
        """Insert the rows that are not there: of columns some of which may have been inserted before.

        For tables dated by a column `Timestamp`. A token alone does not do: ClickHouse remembers an insert's token
        before it makes the insert's rows visible, and one that died in between is taken for done.
        """
        held = f"{HELD_TABLE}{secrets.token_hex(8)}"
        self.command(f"CREATE TABLE {held} AS {table} ENGINE = Memory")
        self._types[held] = self._types_of(table)
        try:
            self.insert(held, names, columns)
            self.command(INSERT_MISSING.format(table=table, held=held))
        finally:
            del self._types[held]
            self.command(f"DROP TABLE IF EXISTS {held}")

    def _drop_held(self) -> None:
        """Drop what a process that died in `insert_missing` left; another one may be in it now."""
        for row in self.query(LEFT_BEHIND, {"prefix": HELD_TABLE, "seconds": HELD_SECONDS}):
            self.command(f"DROP TABLE IF EXISTS {row['name']}")

    def query(self, sql: str, parameters: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Ask; yields rows by column name."""
        with self._errors():
            result = self._client.query(sql, parameters=parameters or {})
        return iter(dict(zip(result.column_names, row, strict=True)) for row in result.result_rows)

    def _types_of(self, table: str) -> dict[str, str]:
        """Look a table's types up once: they change with a migration only, and migrations come first."""
        if table not in self._types:
            self._types[table] = {row["name"]: row["type"] for row in self.query(f"DESCRIBE TABLE {table}")}
        return self._types[table]

    @contextmanager
    def _context(self, table: str, types: Mapping[str, str], settings: Mapping[str, Any]) -> Iterator[Any]:
        """Make what the driver keeps of an insert: all columns, in a circle with itself, which is opened in the end."""
        context = self._client.create_insert_context(
            table,
            list(types),
            column_type_names=list(types.values()),
            column_oriented=True,
            settings=dict(settings),
        )
        try:
            yield context
        finally:
            vars(context).clear()

    def _errors(self) -> AbstractContextManager[None]:
        """Turn what the driver raises into StoreErrors."""
        return _sorted_errors()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _filled(
    names: Sequence[str], columns: Sequence[Sequence[Any]], types: Mapping[str, str]
) -> tuple[list[str], list[Sequence[Any]]]:
    """Leave out columns that hold nothing: the store fills them in for less than it takes to write and read them."""
    kept = [
        (name, column)
        for name, column in zip(names, columns, strict=True)
        if any(column) or not DEFAULTS_TO_NOTHING.match(types[name])
    ]
    return [name for name, _ in kept], [column for _, column in kept]


def _connect(dsn: str, engine: Mapping[str, int]) -> Any:
    import clickhouse_connect

    options: dict[str, Any] = {"chdb_options": dict(engine)} if engine and dsn.startswith(EMBEDDED) else {}
    with _sorted_errors():
        make_store_folder_writable(dsn)
        return clickhouse_connect.get_client(dsn=dsn, **options)


@contextmanager
def _sorted_errors() -> Iterator[None]:
    from clickhouse_connect.driver.exceptions import ClickHouseError, DataError

    try:
        yield
    except (ClickHouseError, OSError) as error:
        kind = Kind.NEVER if isinstance(error, DataError) else kind_of(getattr(error, "code", None))
        raise RAISED[kind](STACK_DUMP.sub("", str(error))) from error
