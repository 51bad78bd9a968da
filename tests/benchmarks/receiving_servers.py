"""Servers under measurement, each a process of its own: our receiver on a durable bus, and Rotel before what it has."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from collector.admission import Admission
from collector.bus.embedded import EmbeddedBus
from collector.bus.kafka import KafkaBus
from collector.bus.kafka_connection import KafkaConnection
from collector.bus.protocol import Bus
from collector.event_loop import run
from collector.process_memory import collect_rarely, set_allocator
from collector.receivers.intake import Intake
from collector.receivers.otlp import OtlpReceiver
from collector.receivers.otlp_config import GrpcConfig, HttpConfig, OtlpReceiverConfig, Protocols

ANY_PORT = "127.0.0.1:0"
READY_SECONDS = 20.0


class Server(NamedTuple):
    """One that listens, by its process and its addresses."""

    pid: int
    grpc: str
    http: str

    def cpu_seconds(self) -> float:
        """Read the processor time of the process with all its threads (Linux: the clock of another process)."""
        return time.clock_gettime(~self.pid << 3 | 2)


@contextmanager
def receiver(partitions: int) -> Iterator[Server]:
    """Run our receiver, on an empty bus."""
    with tempfile.TemporaryDirectory() as folder, _receiving("embedded", folder, str(partitions)) as server:
        yield server


@contextmanager
def receiver_on_kafka(brokers: str, prefix: str) -> Iterator[Server]:
    """Run our receiver before a Kafka broker on which its topics are made."""
    with _receiving("kafka", brokers, prefix) as server:
        yield server


@contextmanager
def _receiving(*where: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "tests.benchmarks.receiving_servers", *where]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        said = process.stdout.readline() if process.stdout else ""
        doors = json.loads(said)
        yield Server(process.pid, doors["otlp grpc"], doors["otlp http"])
        process.communicate()  # its standard input ends, and so does it


@contextmanager
def rotel(agent: Path, *exporter: str) -> Iterator[Server]:
    """Run Rotel with an exporter; with none named, one that throws everything away."""
    grpc, http = _free_address(), _free_address()
    with tempfile.TemporaryDirectory() as folder:
        command = [str(agent), "start", *(exporter or ("--exporter", "blackhole")), "--pid-file", f"{folder}/pid"]
        command += ["--otlp-grpc-endpoint", grpc, "--otlp-http-endpoint", http]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                _wait_for(grpc)
                _wait_for(http)
                yield Server(process.pid, grpc, http)
            finally:
                process.terminate()


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def _wait_for(address: str) -> None:
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            socket.create_connection((host, int(port)), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


async def serve(bus: Bus) -> None:
    """Say where the doors are, and receive until standard input ends."""
    protocols = Protocols(grpc=GrpcConfig(endpoint=ANY_PORT), http=HttpConfig(endpoint=ANY_PORT))
    door = OtlpReceiver(OtlpReceiverConfig(protocols=protocols), Intake(bus, Admission(8 << 30)))
    await door.start()
    collect_rarely()
    print(json.dumps(dict(door.doors())), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await door.stop(1)
    bus.close()


def _bus(kind: str, place: str, which: str) -> Bus:
    """Open the bus in a folder with so many partitions, or on brokers under a prefix."""
    if kind == "kafka":
        return KafkaBus(KafkaConnection(place, which))
    return EmbeddedBus(Path(place), int(which))


if __name__ == "__main__":
    set_allocator()  # as the program does
    run(serve(_bus(*sys.argv[1:4])))
