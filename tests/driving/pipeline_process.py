"""`tracemend up` as a real process on free ports and a data dir of its own, as its users start it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

START_SECONDS = 60.0
TRACEMEND = [sys.executable, "-m", "collector.cli.main"]
FREE_PORTS = (
    "receivers::otlp::protocols::grpc::endpoint=127.0.0.1:0",
    "receivers::otlp::protocols::http::endpoint=127.0.0.1:0",
    "extensions::clickhouse_http::endpoint=127.0.0.1:0",
    "service::telemetry::metrics::endpoint=127.0.0.1:0",
)


class PipelineProcess:
    """One data dir, and the process that may be running on it."""

    def __init__(
        self, data_dir: Path, *settings: str, under: Sequence[str] = (), command: Sequence[str] = ("up",)
    ) -> None:
        self.data_dir = data_dir
        self.command = command
        self.settings = settings
        self.under = under
        """A command that becomes the one that is given to it, as `nice` does."""
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> PipelineProcess:
        """Start it and wait until it is ready to accept."""
        self.spawn()
        self.wait_until_ready()
        return self

    def spawn(self) -> None:
        """Start it, and wait for nothing."""
        options = [part for setting in (*FREE_PORTS, *self.settings) for part in ("--set", setting)]
        log = (self.data_dir.parent / f"{self.data_dir.name}.log").open("a")
        self.process = subprocess.Popen(
            [*self.under, *TRACEMEND, *self.command, "--data-dir", str(self.data_dir), *options],
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        log.close()

    def wait_until_ready(self) -> None:
        """Wait until it is ready to accept; raises RuntimeError with what it printed."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process is not None and self.process.poll() is not None:
                raise RuntimeError(f"tracemend exited with {self.process.returncode}: {self.log()}")
            info = self.info()
            if info and self.process and info["pid"] == self.process.pid and self.get("metrics", "/healthz")[0] == 200:
                return
            time.sleep(0.05)
        raise RuntimeError(f"tracemend was not ready in time: {self.log()}")

    def info(self) -> dict[str, Any] | None:
        """Read what the running pipeline says of itself."""
        try:
            return dict(json.loads((self.data_dir / "running.json").read_text()))
        except (OSError, ValueError):
            return None

    def log(self) -> str:
        """Read what it printed."""
        return (self.data_dir.parent / f"{self.data_dir.name}.log").read_text()[-4_000:]

    def kill(self) -> None:
        """Kill it as the kernel would, with everything it started."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_if_running(self) -> None:
        """Leave nothing behind, whatever became of the test."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def stop(self) -> int:
        """Ask it to stop as Ctrl-C does; returns its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(20)

    def post(self, path: str, body: bytes, content_type: str = "application/x-protobuf") -> tuple[int, bytes]:
        """Post an OTLP body; raises OSError when nobody answers."""
        response, answer = self.answer(path, body, content_type)
        return response.status, answer

    def answer(
        self, path: str, body: bytes, content_type: str = "application/x-protobuf"
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Post an OTLP body; gives the answer with its headers."""
        info = self.info() or {}
        connection = http.client.HTTPConnection(info["http"], timeout=30)
        try:
            connection.request("POST", path, body, {"Content-Type": content_type})
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def get(self, door: str, path: str) -> tuple[int, bytes]:
        """Get a path from one of its doors; status 0 when nobody answers."""
        connection = http.client.HTTPConnection((self.info() or {}).get(door, "127.0.0.1:1"), timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        except OSError:
            return 0, b""
        finally:
            connection.close()

    def query(self, sql: str) -> str:
        """Ask the store through its ClickHouse HTTP door."""
        connection = http.client.HTTPConnection((self.info() or {})["clickhouse_http"], timeout=30)
        try:
            connection.request("POST", "/", sql.encode())
            response = connection.getresponse()
            answer = response.read().decode()
            if response.status != 200:
                raise RuntimeError(answer)
            return answer.strip()
        finally:
            connection.close()

    def settle(self, seconds: float = 60.0) -> None:
        """Wait until no stage has anything left to read, of all processes: one that starts again shows no lag yet."""
        deadline = time.monotonic() + seconds
        quiet = 0
        while time.monotonic() < deadline:
            quiet = quiet + 1 if self.is_quiet() else 0
            if quiet == 3:
                return
            time.sleep(0.3)
        raise RuntimeError(f"still {self.lag()} records behind after {seconds} s: {self.log()}")

    def is_quiet(self) -> bool:
        """Say whether it is ready and has nothing left to read."""
        return self.get("metrics", "/healthz")[0] == 200 and self.lag() == 0

    def lag(self) -> float:
        """Count the records that its stages have still to read."""
        _, text = self.get("metrics", "/metrics")
        lines = [line for line in text.decode().splitlines() if line.startswith("tracemend_stage_lag_records{")]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines) if lines else 1.0

    def run(self, *arguments: str) -> str:
        """Run a tracemend command on this data dir and return what it printed."""
        done = subprocess.run(
            [*TRACEMEND, *arguments, "--data-dir", str(self.data_dir)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{arguments} exited with {done.returncode}: {done.stderr}")
        return done.stdout

    def detections(self, *options: str) -> list[dict[str, Any]]:
        """Read detections back as programs do."""
        return [json.loads(line) for line in self.run("detections", "--format", "jsonl", *options).splitlines()]
