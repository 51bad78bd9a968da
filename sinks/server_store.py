"""The store on a ClickHouse server, over HTTP(S): the same tables, with a network in between.

Inserts are synchronous (`async_insert` is on by default since ClickHouse 26.2): only then a token is remembered in the
same step as the rows, whichever engine a table has, and an answer means that they are there. Batches are large anyway.
Of a driver's own repeats only those of inserts under a token are let through: nothing else may happen twice.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from sinks.cluster import check_cluster, tables_are_everywhere
from sinks.reader_user import Reader, statements_for
from sinks.schema import apply_layout, apply_migrations
from sinks.server_dsn import server_dsn
from sinks.server_errors import store_error
from sinks.store import INSERT_SETTINGS, Store, StoreAsks
from sinks.table_layout import Layout, literal, quoted

OLDEST = (24, 8)
"""The oldest server that knows every setting and statement used here."""
ON_CLUSTER: dict[str, Any] = {"distributed_ddl_task_timeout": 30, "distributed_ddl_output_mode": "throw_only_active"}
"""A replica that is away makes its tables when it is back; nobody waits for it."""
SYNCHRONOUS = {"async_insert": 0}
DATED = "Timestamp"
MISSING = (
    "INSERT INTO {table} ({columns}) SELECT {columns} FROM input({structure}) "
    "WHERE cityHash64({columns}) NOT IN (SELECT cityHash64({columns}) FROM {source} "
    "WHERE {dated} BETWEEN fromUnixTimestamp64Nano({first}) AND fromUnixTimestamp64Nano({last})) FORMAT Native"
)


class Patience(NamedTuple):
    """How long a server may take: seconds until a connection is there, and until a request is answered."""

    connect_seconds: float = 5.0
    answer_seconds: float = 60.0


class ServerStore(Store):
    """One connection to a server; owned by one thread. Raises StoreError with what to do where it is at fault."""

    insert_settings = INSERT_SETTINGS | SYNCHRONOUS

    def __init__(
        self, dsn: str, layout: Layout | None = None, patience: Patience | None = None, reader: Reader | None = None
    ) -> None:
        self._dsn = server_dsn(dsn)
        self._reader = reader
        self._types = {}
        self._layout = layout or Layout()
        self._client = self._connect(patience or Patience())

    def migrate(self) -> None:
        """Bring the server, or every server of the cluster, to the newest schema; any number may do so at once."""
        cluster, database = self._layout.cluster, self._dsn.database
        self._client.database = None  # it may not be there yet, and every question in it would be refused
        try:
            replicas = check_cluster(self, cluster) if cluster else 1
            self._create_database()
        finally:
            self._client.database = database
        anew = bool(cluster) and not tables_are_everywhere(self, cluster, database, replicas)
        apply_migrations(self, self._layout, anew)
        apply_layout(self, self._layout)
        self._create_reader()

    def broken_parts(self) -> dict[str, int]:
        """Count none: who keeps a server sees to its parts."""
        return {}

    def insert_missing(
        self, table: str, names: Sequence[str], columns: Sequence[Sequence[Any]], token: str = ""
    ) -> None:
        """Insert the rows that are not there, in one request, since the next one may reach another replica.

        First under the token, where there is one: that waits for, or forestalls, the same insert that is still under
        way; then without, for rows whose token is remembered though they are not there. Replicated tables remember a
        token in the same step as the rows, so there only what was inserted under another token is looked for, on
        all replicas, since one may be behind.
        """
        if self._layout.cluster and not token:
            return
        statement = self._missing(table, names, columns)
        data = self._native(table, names, columns)
        for under in dict.fromkeys((token, "")):
            settings = SYNCHRONOUS | ({"insert_deduplication_token": under} if under else {})
            with self._errors():
                self._client.command(statement, data=data, settings=settings)

    # --- within ---

    def _create_database(self) -> None:
        """Create the database where it is missing; who may not create any gets on with one that is there."""
        name = self._dsn.database
        with self._errors():
            if not self._client.command(f"EXISTS DATABASE {quoted(name)}"):
                statement = f"CREATE DATABASE IF NOT EXISTS {quoted(name)}{self._layout.on_cluster()}"
                self._client.command(statement)

    def _create_reader(self) -> None:
        """Create the user that only reads; a sink that may not goes on without."""
        if self._reader is None:
            return
        try:
            for statement in statements_for(self._reader, self._dsn.database, self._layout):
                self.command(statement)
        except StoreAsks as error:
            sys.stderr.write(
                f"sinks/clickhouse: the reader {self._reader.user!r} was not created: {error}. Create it by hand, or "
                "let the sink's user do it (GRANT CREATE USER ON *.*, and SELECT on its database WITH GRANT OPTION)\n"
            )

    def _missing(self, table: str, names: Sequence[str], columns: Sequence[Sequence[Any]]) -> str:
        types = self._types_of(table)
        moments = columns[list(names).index(DATED)]
        source = quoted(table)
        if self._layout.cluster:
            source = f"clusterAllReplicas({literal(self._layout.cluster)}, currentDatabase(), {source})"
        return MISSING.format(
            table=quoted(table),
            columns=", ".join(quoted(name) for name in names),
            structure=literal(", ".join(f"{quoted(name)} {types[name]}" for name in names)),
            source=source,
            dated=DATED,
            first=f"toInt64({min(moments)})",
            last=f"toInt64({max(moments)})",
        )

    def _native(self, table: str, names: Sequence[str], columns: Sequence[Sequence[Any]]) -> bytes:
        """Write columns as a block; the driver puts a statement of its own before it, on the first line."""
        from clickhouse_connect.driver.transform import NativeTransform

        types = self._types_of(table)
        with self._errors(), self._context(table, {name: types[name] for name in names}, {}) as context:
            context.data = columns
            written = b"".join(NativeTransform.build_insert(context))
            if context.insert_exception is not None:
                raise context.insert_exception
        return written.partition(b"\n")[2]

    def _connect(self, patience: Patience) -> Any:
        import clickhouse_connect

        logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())  # what it warns of is raised here
        dsn = self._dsn
        options: dict[str, Any] = dict(dsn.options)
        with self._errors():
            client: Any = clickhouse_connect.get_client(
                host=dsn.host,
                port=dsn.port,
                interface="https" if dsn.secure else "http",
                username=dsn.user,
                password=dsn.password,
                settings=(ON_CLUSTER if self._layout.cluster else {}) | dsn.settings,
                connect_timeout=math.ceil(patience.connect_seconds),
                send_receive_timeout=math.ceil(patience.answer_seconds),
                query_retries=0,
                autogenerate_session_id=False,  # a session stays locked while what timed out is still under way
                dedicated_pool=True,
                client_name="tracemend",
                show_clickhouse_errors="scrub",
                **options,
            )
        client.database = dsn.database  # not before: what the driver asks first needs none
        self._check_version(str(client.server_version))
        return client

    def _check_version(self, version: str) -> None:
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if numbers < OLDEST:
            oldest = ".".join(str(number) for number in OLDEST)
            raise StoreAsks(f"{self._dsn.shown}: the server is ClickHouse {version}: {oldest} or newer is needed")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        from clickhouse_connect.driver.exceptions import ClickHouseError
        from urllib3.exceptions import HTTPError

        try:
            yield
        except (ClickHouseError, HTTPError, OSError) as error:
            raise store_error(error, self._dsn) from error
