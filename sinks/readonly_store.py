"""A connection to the embedded store that only reads, with limits of time, rows and memory it cannot lift again.

It talks to chDB itself and not through clickhouse-connect, whose parameter handling is made for a caller's own values:
here parameters arrive as HTTP clients escape them, which is how the engine takes them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

MIB = 1024 * 1024
LIMITS = {
    "max_execution_time": 30,
    "max_memory_usage": 1024 * MIB,
    "max_result_rows": 1_000_000,
    "max_result_bytes": 256 * MIB,
    "max_threads": 2,
}
UNKNOWN_CODE = 1000
LONGEST_ERROR = 4_096
CHDB_SCHEME = "chdb://"
DEFAULT = "TabSeparated"


class Answer(NamedTuple):
    """What the engine answered, in the format asked for, and what it read for it."""

    data: bytes
    rows_read: int
    bytes_read: int
    timezone: str


class EngineError(Exception):
    """What the engine says against a statement; `code` is ClickHouse's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


class ReadOnlyStore:
    """One connection, read-only for good. Asked by one thread at a time."""

    def __init__(self, dsn: str) -> None:
        chdb: Any = import_module("chdb")  # late: it is large, and a server's store does without it
        self._connection: Any = chdb.connect(os.path.realpath(dsn.removeprefix(CHDB_SCHEME)))
        self.table_functions = frozenset(self._column("SELECT lower(name) FROM system.table_functions"))
        self.reaching_functions = frozenset(
            self._column("SELECT lower(name) FROM system.functions WHERE categories LIKE '%AI%'")
        )
        self._timezone = self._column("SELECT timezone()")[0]
        limits = ", ".join(f"{name} = {value}" for name, value in LIMITS.items())
        self._connection.query(f"SET {limits}")
        self._connection.query("SET readonly = 1")

    def ask(self, sql: str, parameters: Mapping[str, str]) -> Answer:
        """Ask a statement that names its FORMAT; raises EngineError."""
        try:
            result = self._connection.query(sql, DEFAULT, params=dict(parameters))
        except Exception as error:
            raise _engine_error(str(error)) from error
        return Answer(result.bytes() or b"", result.rows_read(), result.bytes_read(), self._timezone)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _column(self, sql: str) -> list[str]:
        return str(self._connection.query(sql, DEFAULT).bytes().decode()).splitlines()


def _engine_error(text: str) -> EngineError:
    at = text.find("Code: ")
    text = text[max(at, 0) :][:LONGEST_ERROR].strip()
    digits = text.removeprefix("Code: ").partition(".")[0]
    return EngineError(int(digits) if at >= 0 and digits.isdecimal() else UNKNOWN_CODE, text)
