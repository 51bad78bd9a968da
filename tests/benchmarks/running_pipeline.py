"""A pipeline under measurement: `tracemend up` on free ports, what its processes use, and how far behind it is."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from collector.running import RunningInfo, read_running

DOORS = (
    "receivers::otlp::protocols::grpc::endpoint",
    "receivers::otlp::protocols::http::endpoint",
    "extensions::clickhouse_http::endpoint",
    "service::telemetry::metrics::endpoint",
)
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SAMPLE = re.compile(r"\w+\{(?P<labels>.*)\} (?P<value>\S+)")
LABEL = re.compile(r'(\w+)="([^"]*)"')
FIRST = "receivers"
"""What the first process does where there are several."""


class RunningPipeline:
    """One that is ready. `started_seconds`: from the command to `/healthz` answering 200."""

    def __init__(self, folder: Path, running: RunningInfo, started_seconds: float) -> None:
        self.folder = folder
        self.http = running.http
        self.metrics = running.metrics
        self.started_seconds = started_seconds
        self._pids = {FIRST: running.pid, **running.processes}

    def cpu_seconds(self) -> Mapping[str, float]:
        """Read what each process has used of the processors."""
        return {name: _cpu(pid) for name, pid in self._pids.items()}

    def resident_bytes(self) -> Mapping[str, int]:
        """Read what each process holds of the memory; what they share counts in each."""
        return {name: _resident(pid) for name, pid in self._pids.items()}

    def bus_bytes(self) -> int:
        """Read how large the bus's files are."""
        return sum(path.stat().st_size for path in (self.folder / "bus").iterdir() if path.is_file())

    def lag(self) -> int:
        """Count the records that stages have still to read."""
        return int(sum(self.lags().values()))

    def lags(self) -> Mapping[tuple[str, str], float]:
        """Count them by stage and topic."""
        return {(labels["stage"], labels["topic"]): lag for labels, lag in self.samples("tracemend_stage_lag_records")}

    def samples(self, name: str) -> list[tuple[Mapping[str, str], float]]:
        """Read a metric's labels and values."""
        connection = http.client.HTTPConnection(self.metrics, timeout=30)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        found = (SAMPLE.fullmatch(line) for line in lines if line.startswith(f"{name}{{"))
        return [(dict(LABEL.findall(one["labels"])), float(one["value"])) for one in found if one is not None]

    def settle(self) -> None:
        """Wait until everything is read."""
        quiet = 0
        while quiet < 3:
            time.sleep(0.1)
            quiet = quiet + 1 if self.lag() == 0 else 0


@contextmanager
def running_pipeline(*settings: str, folder: Path | None = None) -> Iterator[RunningPipeline]:
    """Start one, and stop it after the block; without a folder in one of its own."""
    with tempfile.TemporaryDirectory() as own:
        data_dir = folder or Path(own)
        begun = time.perf_counter()
        process = subprocess.Popen(_command(data_dir, settings), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while (running := read_running(data_dir)) is None or running.pid != process.pid:
                if process.poll() is not None:
                    raise RuntimeError(f"tracemend up exited with {process.returncode}")
                time.sleep(0.01)
            yield RunningPipeline(data_dir, running, time.perf_counter() - begun)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


def _command(data_dir: Path, settings: tuple[str, ...]) -> list[str]:
    every = [f"{door}=127.0.0.1:0" for door in DOORS] + list(settings)
    options = [part for setting in every for part in ("--set", setting)]
    return [sys.executable, "-m", "collector.cli.main", "up", "--data-dir", str(data_dir), *options]


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
