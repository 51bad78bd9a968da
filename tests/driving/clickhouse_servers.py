"""ClickHouse servers for tests: one that is there already, one in a container, or the interface over chDB.

`TRACEMEND_TEST_CLICKHOUSE` is the DSN of a server to use, of a user who may create databases.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from sinks.server_dsn import server_dsn

GIVEN = "TRACEMEND_TEST_CLICKHOUSE"
IMAGE = "clickhouse/clickhouse-server:25.8"
USER, PASSWORD = "tests", "p:a/s@s"  # of servers that live as long as the tests
START_SECONDS = 60.0
PROGRAM = Path(__file__).parent / "chdb_server.py"


USERS = """<clickhouse>
  <profiles><default>{profile}</default></profiles><quotas><default/></quotas>
  <users><default>
    <password/><networks><ip>::/0</ip></networks><profile>default</profile>{grants}
  </default></users>
</clickhouse>"""
CONFIG = """<clickhouse>
  <tcp_port>9000</tcp_port>{more}
  <user_directories><users_xml><path>{folder}/users.xml</path></users_xml></user_directories>
  <macros><shard>1</shard><replica>a</replica></macros>
  <remote_servers>
    <one><shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard></one>
    <two>
      <shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard>
      <shard><replica><host>127.0.0.2</host><port>9000</port></replica></shard>
    </two>
  </remote_servers>
  <storage_configuration>
    <disks><slow><path>{folder}/slow/</path></slow></disks>
    <policies>
      <tiered><volumes><default><disk>default</disk></default><cold><disk>slow</disk></cold></volumes></tiered>
    </policies>
  </storage_configuration>
</clickhouse>"""
"""Of the server over chDB: a cluster of one, one of two shards, and a policy that adds a cold volume to the default."""


class NoServer(Exception):  # noqa: N818  # named by what it says
    """No real server can be had; says why."""


class Server(Protocol):
    """A server that runs."""

    host: str
    port: int

    def dsn(self, database: str, port: int = 0) -> str:
        """Write the DSN of a database; another port is that of a wire in between."""

    def close(self) -> None:
        """Stop it, if it was started here."""


class ChdbServer:
    """The interface over chDB, in a process of its own on a port of its own.

    `grants` are all the rights there are, where any are given; `profile` are settings, and `more` is what else is
    configured, as XML.
    """

    host = "127.0.0.1"

    def __init__(
        self, folder: Path, *options: str, grants: Sequence[str] = (), profile: str = "", more: str = ""
    ) -> None:
        self._folder = folder
        self._options = options
        self.let(grants, profile)
        (folder / "config.xml").write_text(CONFIG.format(folder=folder, more=more))
        self.port = 0
        self.start()

    def start(self) -> None:
        """Start it, again on the port it had."""
        command = [sys.executable, str(PROGRAM), str(self._folder / "store"), "--port", str(self.port)]
        command += ["--config", str(self._folder / "config.xml")]
        command += ["--user", f"{USER}:{PASSWORD}", *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert self._process.stdout is not None
        said = self._process.stdout.readline().strip()
        if not said:
            raise RuntimeError(f"the server over chDB ended at once ({self._process.wait(10)})")
        self.port = int(said)

    def let(self, grants: Sequence[str] = (), profile: str = "") -> None:
        """Write down what its user may from its next start on."""
        queries = "".join(f"<query>GRANT {grant}</query>" for grant in grants)
        written = USERS.format(profile=profile, grants=f"<grants>{queries}</grants>" if queries else "")
        (self._folder / "users.xml").write_text(written)

    def kill(self) -> None:
        """Kill it as the kernel would."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def dsn(self, database: str, port: int = 0) -> str:
        return f"clickhouse://{USER}:{quote(PASSWORD, safe='')}@{self.host}:{port or self.port}/{database}"

    def close(self) -> None:
        if self._process.poll() is None:
            self.kill()


class GivenServer:
    """A server that somebody else runs."""

    def __init__(self, dsn: str) -> None:
        self._dsn = server_dsn(dsn)
        self.host, self.port = self._dsn.host, self._dsn.port

    def dsn(self, database: str, port: int = 0) -> str:
        told = self._dsn
        scheme, host = ("clickhouses" if told.secure else "clickhouse"), (self.host if not port else "127.0.0.1")
        return f"{scheme}://{told.user}:{quote(told.password, safe='')}@{host}:{port or self.port}/{database}"

    def close(self) -> None:
        """Leave it as it is."""


class ContainerServer:
    """A server in a container; raises NoServer where there is no Docker engine."""

    def __init__(self) -> None:
        try:
            from testcontainers.core.container import DockerContainer

            self._container = DockerContainer(IMAGE).with_exposed_ports(8123)
            for name, value in (("USER", USER), ("PASSWORD", PASSWORD), ("DEFAULT_ACCESS_MANAGEMENT", "1")):
                self._container.with_env(f"CLICKHOUSE_{name}", value)
            self._container.start()
        except Exception as error:  # docker's client raises whatever its parts do
            raise NoServer(f"no {GIVEN}, and no Docker engine answers ({type(error).__name__})") from error
        self.host = str(self._container.get_container_host_ip())
        self.port = int(self._container.get_exposed_port(8123))
        _wait_for(self.host, self.port)

    def dsn(self, database: str, port: int = 0) -> str:
        host = self.host if not port else "127.0.0.1"
        return f"clickhouse://{USER}:{quote(PASSWORD, safe='')}@{host}:{port or self.port}/{database}"

    def close(self) -> None:
        self._container.stop()


def real_server() -> Server:
    """Open a server that is one; raises NoServer."""
    given = os.environ.get(GIVEN)
    return GivenServer(given) if given else ContainerServer()


def _wait_for(host: str, port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"http://{host}:{port}/ping", timeout=2):  # our own address
                return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
