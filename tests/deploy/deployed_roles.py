"""The services of compose.yaml as processes of this machine: their own commands, configuration and environment."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from program_commands import CONFIG, MOUNTED, TRACEMEND

START_SECONDS, STOP_SECONDS = 240.0, 60.0
FREE_PORTS = (
    "receivers::otlp::protocols::grpc::endpoint",
    "receivers::otlp::protocols::http::endpoint",
    "service::telemetry::metrics::endpoint",
)


class DeployedRole:
    """One service, on free ports and with a data dir of its own."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self._data_dir = folder / "data"
        self._log = folder / "log"
        folder.mkdir()
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [*TRACEMEND, *_here(command), "--data-dir", str(self._data_dir), *_on_free_ports()],
                env={**os.environ, **environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until_healthy(self) -> None:
        """Wait until its health check passes."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"it ended with {self.process.returncode}: {self._said()}")
            if self._healthy():
                return
            time.sleep(0.2)
        raise RuntimeError(f"it was not healthy in time: {self._said()}")

    def door(self, name: str) -> str:
        """Say where it can be reached."""
        return str(self._running()[name])

    def stop(self) -> int:
        """Ask it to stop as Docker and Kubernetes do; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def kill_if_running(self) -> None:
        """Leave nothing behind."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _healthy(self) -> bool:
        connection = http.client.HTTPConnection(self._running().get("metrics", "127.0.0.1:9"), timeout=5)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def _running(self) -> dict[str, Any]:
        try:
            return dict(json.loads((self._data_dir / "running.json").read_text()))
        except (OSError, ValueError):
            return {}

    def _said(self) -> str:
        return self._log.read_text()[-2_000:]


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a service that does something and ends."""
    return subprocess.run(
        [*TRACEMEND, *_here(command), "--data-dir", str(folder)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=START_SECONDS,
    )


def _here(command: Sequence[str]) -> list[str]:
    return [str(CONFIG) if argument == MOUNTED else argument for argument in command]


def _on_free_ports() -> list[str]:
    return [part for key in FREE_PORTS for part in ("--set", f"{key}=127.0.0.1:0")]
