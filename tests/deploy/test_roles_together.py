"""What compose.yaml starts, started here: every role a process, on a real broker and ClickHouse's HTTP interface."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from clickhouse_servers import ChdbServer
from deployed_roles import DeployedRole, run
from kafka_broker import Broker
from pipeline_process import PipelineProcess
from program_commands import DEPLOY
from test_compose import merged, running

from sinks.server_store import ServerStore

DATABASE = "tracemend"
SETTLE_SECONDS = 180.0
ASKED = """
    SELECT What, Whose, toUInt64(N) AS N FROM (
        SELECT 'spans' AS What, '' AS Whose, count() AS N FROM otel_traces
        UNION ALL SELECT 'steps', toString(Agent) AS A, count() FROM agent_steps_latest GROUP BY A
        UNION ALL SELECT concat(Type, ' ', Severity, ' ', Status) AS D, toString(Agent) AS A, count()
            FROM detections_latest GROUP BY D, A
        UNION ALL SELECT concat(Event, ' ', FixType) AS E, toString(Agent) AS A, count()
            FROM healing FINAL GROUP BY E, A
        UNION ALL SELECT concat(Event, ' ', FixType) AS E, toString(Agent) AS A, count()
            FROM approvals FINAL GROUP BY E, A
        UNION ALL SELECT 'rules', toString(Agent) AS A, sum(Rules) FROM policies FINAL GROUP BY A
    ) ORDER BY What, Whose, N
"""
Counted = list[tuple[str, str, int]]

pytestmark = pytest.mark.timeout(900)  # six processes and a broker, on two cores


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ChdbServer]:
    (tmp_path / "server").mkdir()
    served = ChdbServer(tmp_path / "server")
    yield served
    served.close()


def test_every_role_by_itself_finds_what_one_process_finds(kafka: Broker, server: ChdbServer, tmp_path: Path) -> None:
    expected = of_one_process(tmp_path / "one")
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
        send(services["demo-agent"]["environment"], roles["receivers"].door("http"))
        assert stored(server, expected) == expected
        assert {name: role.stop() for name, role in roles.items()} == dict.fromkeys(roles, 0)


def of_one_process(data_dir: Path) -> Counted:
    """Count what one embedded process makes of the same runs."""
    pipeline = PipelineProcess(data_dir, "service::processes=1")
    try:
        send({}, (pipeline.start().info() or {})["http"])
        pipeline.settle()
        rows = [line.split("\t") for line in pipeline.query(ASKED).splitlines()]
        return [(what, whose, int(number)) for what, whose, number in rows]
    finally:
        pipeline.kill_if_running()


def send(environment: dict[str, str], door: str) -> None:
    """Send as the agent of the demo does, once."""
    told = {**os.environ, **environment, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{door}"}
    program = [sys.executable, str(DEPLOY / "demo_agent.py"), "--once"]
    done = subprocess.run(program, env=told, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def stored(server: ChdbServer, expected: Counted) -> Counted:
    """Count what is in the store, once it is as expected, or after a while."""
    store = ServerStore(server.dsn(DATABASE))
    deadline = time.monotonic() + SETTLE_SECONDS
    try:
        while True:
            counted = [(str(r["What"]), str(r["Whose"]), int(r["N"])) for r in store.query(ASKED)]
            if counted == expected or time.monotonic() > deadline:
                return counted
            time.sleep(0.5)
    finally:
        store.close()
