"""A pipeline as its roles, each a process with a data dir of its own, over Kafka and a ClickHouse server."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline_process import TRACEMEND, PipelineProcess

from sinks.server_dsn import server_dsn

ROLES = ("receivers", "normaliser", "processors", "sinks/clickhouse", "healing")
SILENT = ("receivers",)
"""Roles that read nothing from the bus, so that they have no lag."""
QUIET_LOOKS = 4


class RoleProcesses:
    """Processes by name: a role, or `role#2` for another of it. `dsn` is how the sink reaches the store."""

    def __init__(
        self, folder: Path, bootstrap: str, prefix: str, dsn: str, *settings: str, roles: Sequence[str] = ROLES
    ) -> None:
        self._folder = folder
        self._roles = roles
        self._dsn = dsn
        self._settings = (
            f"bus::kafka::brokers={bootstrap}",
            f"bus::prefix={prefix}",
            f"sinks::clickhouse::dsn={dsn}",
            *settings,
        )
        self.processes: dict[str, PipelineProcess] = {}

    def start(self) -> RoleProcesses:
        """Make the topics, start a process for each role and wait until all are ready."""
        self.run("topics", "create")
        for role in self._roles:
            self.spawn(role)
        for process in self.processes.values():
            process.wait_until_ready()
        return self

    def spawn(self, name: str, under: Sequence[str] = (), *settings: str) -> PipelineProcess:
        """Start a process with settings of its own, and wait for nothing.

        `under` is a command that becomes the one that is given to it.
        """
        role = name.partition("#")[0]
        folder = self._folder / name.replace("/", "-")
        self._folder.mkdir(parents=True, exist_ok=True)
        process = PipelineProcess(folder, *self._settings, *settings, command=("run", "--only", role), under=under)
        process.spawn()
        self.processes[name] = process
        return process

    def lag(self) -> float:
        """Count the records that are still to be read, by all of them."""
        return sum(process.lag() for name, process in self.processes.items() if name not in SILENT)

    def kill(self, name: str) -> None:
        """Kill a process as the kernel would."""
        self.processes[name].kill()

    def close(self) -> None:
        """Leave nothing behind."""
        for process in self.processes.values():
            process.kill_if_running()

    def settle(self, seconds: float) -> None:
        """Wait until nobody has anything left to read."""
        deadline = time.monotonic() + seconds
        quiet = 0
        while time.monotonic() < deadline:
            quiet = quiet + 1 if not self._busy() else 0
            if quiet == QUIET_LOOKS:
                return
            time.sleep(0.5)
        raise RuntimeError("\n".join(f"{name}: {self.processes[name].log()[-800:]}" for name in self._busy()))

    def _busy(self) -> list[str]:
        return [name for name, process in self.processes.items() if not _is_quiet(name, process)]

    # --- what a client and an operator do ---

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Post an OTLP body."""
        return self.processes["receivers"].post(path, body)

    def query(self, sql: str) -> str:
        """Ask the store as its clients do."""
        told = server_dsn(self._dsn)
        address = f"http://{told.host}:{told.port}/?database={told.database}"
        headers = {"X-ClickHouse-User": told.user, "X-ClickHouse-Key": told.password}
        request = urllib.request.Request(address, sql.encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  # our own address
            return str(answer.read().decode()).strip()

    def run(self, *arguments: str) -> str:
        """Run a tracemend command with this configuration and give what it printed."""
        options = [part for setting in self._settings for part in ("--set", setting)]
        command = [*TRACEMEND, *arguments, *options, "--data-dir", str(self._folder / "operator")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise RuntimeError(f"{arguments} exited with {done.returncode}: {done.stderr}")
        return done.stdout

    def detections(self, *options: str) -> list[dict[str, Any]]:
        """Read detections back as programs do."""
        return [json.loads(line) for line in self.run("detections", "--format", "jsonl", *options).splitlines()]


def _is_quiet(name: str, process: PipelineProcess) -> bool:
    if name.partition("#")[0] in SILENT:
        return process.get("metrics", "/healthz")[0] == 200
    return process.is_quiet()
