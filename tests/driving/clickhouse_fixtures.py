"""A server for the tests of a module, in two kinds, and a database on it that no other test uses."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from clickhouse_servers import ChdbServer, NoServer, Server, real_server
from faulty_link import FaultyLink

from sinks.server_store import ServerStore


class Place(NamedTuple):
    """A database on a server, and a wire to it that may fail."""

    server: Server
    database: str
    link: FaultyLink

    @property
    def dsn(self) -> str:
        """Give the straight way to it."""
        return self.server.dsn(self.database)

    @property
    def faulty_dsn(self) -> str:
        """Give the way over the wire."""
        return self.server.dsn(self.database, self.link.port)


@pytest.fixture(scope="module", params=["over chDB", "a real server"])
def clickhouse(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if request.param == "over chDB":
        server: Server = ChdbServer(tmp_path_factory.mktemp("server"))
    else:
        try:
            server = real_server()
        except NoServer as reason:
            pytest.skip(str(reason))
    yield server
    server.close()


@pytest.fixture
def place(clickhouse: Server) -> Iterator[Place]:
    link = FaultyLink(clickhouse.host, clickhouse.port)
    database = f"t{uuid.uuid4().hex[:10]}"
    yield Place(clickhouse, database, link)
    link.unplug()
    store = ServerStore(clickhouse.dsn("default"))
    store.command(f"DROP DATABASE IF EXISTS {database}")
    store.close()
