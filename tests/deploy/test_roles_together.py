"""What compose.yaml starts, started here: every role a process, on a real broker and ClickHouse's HTTP interface."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from clickhouse_servers import ChdbServer
from deployed_roles import DeployedRole, run
from kafka_broker import Broker
from program_commands import DEPLOY
from test_compose import merged, running

from sinks.server_store import ServerStore

DATABASE = "tracemend"
SETTLE_SECONDS = 180.0
FOUND = {"otel_traces": 153, "detections_latest": 7, "healing": 6, "approvals": 1, "policies": 5}
"""What the recorded runs lead to, as in the demo of one process."""

pytestmark = pytest.mark.timeout(900)  # six processes and a broker, on two cores


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ChdbServer]:
    (tmp_path / "server").mkdir()
    served = ChdbServer(tmp_path / "server")
    yield served
    served.close()


def test_every_role_by_itself_finds_what_one_process_finds(kafka: Broker, server: ChdbServer, tmp_path: Path) -> None:
    services = merged(())["services"]
    addresses = {"KAFKA_BROKERS": kafka.bootstrap, "CLICKHOUSE_DSN": server.dsn(DATABASE)}
    told = {name: {**service.get("environment", {}), **addresses} for name, service in services.items()}
    made = run(services["topics"]["command"], told["topics"], tmp_path / "topics")
    assert made.returncode == 0, made.stderr
    with ExitStack() as cleanup:
        roles = {}
        for name, service in running(services).items():
            roles[name] = DeployedRole(service["command"], told[name], tmp_path / name)
            cleanup.callback(roles[name].kill_if_running)
        for role in roles.values():
            role.wait_until_healthy()
        send(services["demo-agent"], roles["receivers"].door("http"))
        assert stored(server) == FOUND
        assert {name: role.stop() for name, role in roles.items()} == dict.fromkeys(roles, 0)


def send(service: dict[str, Any], door: str) -> None:
    """Send as the agent of the demo does, once."""
    told = {**os.environ, **service["environment"], "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{door}"}
    program = [sys.executable, str(DEPLOY / Path(service["entrypoint"][-1]).name), "--once"]
    done = subprocess.run(program, env=told, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def stored(server: ChdbServer) -> dict[str, int]:
    """Count what is in the store, once it is as much as is looked for, or after a while."""
    store = ServerStore(server.dsn(DATABASE))
    deadline = time.monotonic() + SETTLE_SECONDS
    try:
        while True:
            counted = {table: int(next(iter(store.query(f"SELECT count() AS n FROM {table}")))["n"]) for table in FOUND}  # noqa: S608
            if counted == FOUND or time.monotonic() > deadline:
                return counted
            time.sleep(0.5)
    finally:
        store.close()
