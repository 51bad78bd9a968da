"""A real OpenTelemetry Collector as a process: one OTLP door, and an exporter for each of our doors."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from built_clients import PROGRAMS, built

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
READY = "Everything is ready"
START_SECONDS = 30.0
RETRY = {"initial_interval": "10ms", "max_interval": "100ms", "randomization_factor": 0}
"""Waits that are short beside the retry delay that our doors ask for."""


Parts = Mapping[str, Any]
"""The configuration of one exporter or receiver."""


class Collector:
    """The process, what it is sent through, and what it logs."""

    def __init__(self, process: subprocess.Popen[bytes], endpoint: str, log: Path) -> None:
        self._process = process
        self._endpoint = endpoint
        self._log = log

    def send(self, body: bytes) -> None:
        """Give it a request, which it takes into its queues."""
        options = [("grpc.max_send_message_length", -1)]
        with grpc.insecure_channel(self._endpoint, options=options) as channel:
            channel.unary_unary(EXPORT, request_serializer=bytes, response_deserializer=bytes)(body, timeout=30)

    def logged(self, words: str, exporter: str = "") -> list[dict[str, Any]]:
        """Give the lines of its log that hold some words, of one exporter or of all parts."""
        lines = [json.loads(line) for line in self._log.read_bytes().splitlines() if line.startswith(b"{")]
        return [
            line for line in lines if words in line["msg"] and exporter in ("", line.get("otelcol.component.id", "?"))
        ]

    def wait_for(self, words: str, exporter: str = "") -> dict[str, Any]:
        """Wait until it has logged some words."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            found = self.logged(words, exporter)
            if found:
                return found[0]
            time.sleep(0.05)
        raise AssertionError(f"the Collector never said {words!r}: {self._log.read_text()[-2_000:]}")


@contextmanager
def collector(
    folder: Path, exporters: Mapping[str, Parts], receivers: Mapping[str, Parts] | None = None
) -> Iterator[Collector]:
    """Run one with exporters as its configuration names them, its queues and retries on, as they are by default.

    `receivers` are those beside its OTLP door.
    """
    endpoint = f"127.0.0.1:{_free_port()}"
    config, log = folder / "otelcol.yaml", folder / "otelcol.log"
    config.write_text(json.dumps(_configuration(endpoint, exporters, receivers or {})))  # JSON is YAML
    command = [*PROGRAMS["otelcol"].run, "--config", f"file:{config}"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=built("otelcol"), stdout=out, stderr=out)
    try:
        running = Collector(process, endpoint, log)
        running.wait_for(READY)
        yield running
    finally:
        process.kill()
        process.wait()


def _configuration(endpoint: str, exporters: Mapping[str, Parts], receivers: Mapping[str, Parts]) -> dict[str, Any]:
    pipeline = {"receivers": ["otlp", *receivers], "exporters": list(exporters)}
    door = {"protocols": {"grpc": {"endpoint": endpoint, "max_recv_msg_size_mib": 64}}}
    return {
        "receivers": {"otlp": door, **receivers},
        "exporters": {name: {**one, "retry_on_failure": RETRY} for name, one in exporters.items()},
        "service": {
            "telemetry": {"metrics": {"level": "none"}, "logs": {"encoding": "json"}},
            "pipelines": {"traces": pipeline},
        },
    }


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
