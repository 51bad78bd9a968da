"""Puts the pipeline together from its settings, starts it back to front, and stops it front to back.

Start: data dir lock, bus, store, sinks, healing, processors, normaliser, HTTP API, doors last.
Stop: doors first, then each stage in the order of a span's way, so that each drains into the next.

StartError    stop: something that is needed could not be started; says what and what to do
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from collector.assembly import Assembly
from collector.deliveries import DeliveryThread
from collector.detections_stream import DetectionsStream
from collector.http_api import Health, HttpApi
from collector.roles import Roles
from collector.running import DataDirLock, RunningInfo, write_running
from collector.shutdown import Deadline
from collector.stages import RUNNING, STARTING, StageThread
from config.settings import Settings

DRAINED_POLL_SECONDS = 0.05
START_SECONDS = 60.0


class StartError(Exception):
    """The pipeline cannot start."""


class Pipeline:
    """A running pipeline. Build it, `start`, and `stop` once; owned by one event loop."""

    def __init__(self, settings: Settings, roles: Roles | None = None) -> None:
        self.settings = settings
        self.data_dir: Path = settings.service.data_dir
        self.failure = ""
        self._lock = DataDirLock(self.data_dir)
        self._lock.acquire()
        self._failed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._assembly = Assembly(settings, roles or Roles())
        self.bus = self._assembly.bus
        self._threads: list[StageThread] = []
        self._api: HttpApi | None = None
        self._ready = False

    async def start(self) -> None:
        """Start everything; raises StartError naming the component that would not."""
        self._loop = asyncio.get_running_loop()
        for name, stage in await asyncio.to_thread(self._assembly.stages):
            driver = DeliveryThread if hasattr(stage, "deliver") else StageThread
            thread = driver(name, stage, self.bus, self._on_fenced)  # type: ignore[arg-type]  # each drives its own kind
            self._threads.append(thread)
            thread.start()
        await asyncio.to_thread(self._wait_for_stages)
        await self._start_servers()
        self._ready = True
        write_running(self.data_dir, self._running_info())

    async def stop(self, seconds: float) -> None:
        """Drain and stop; what could not be drained in time stays on the bus for the next start."""
        deadline = Deadline(seconds)
        self._ready = False
        for receiver in self._assembly.receivers:
            await receiver.stop(deadline.left() / 2)
        await asyncio.to_thread(self._drain, deadline)
        for server in self._assembly.servers:
            await server.stop()
        if self._api is not None:
            await self._api.stop()
        await asyncio.to_thread(self._assembly.close)
        (self.data_dir / "running.json").unlink(missing_ok=True)
        self._lock.release()

    async def failed(self) -> None:
        """Wait until the pipeline can no longer go on."""
        await self._failed.wait()

    def doors(self) -> Mapping[str, str]:
        """Say where what can be reached."""
        doors = {name: address for receiver in self._assembly.receivers for name, address in receiver.doors().items()}
        if self._api is not None:
            doors["health and metrics"] = f"{self._api_host()}:{self._api.port}"
        for server in self._assembly.servers:
            doors[server.name] = server.address
        return doors

    def health(self) -> Health:
        """Say whether everything is ready, and how each stage is."""
        components = {thread.name: {"status": thread.status, "error": thread.error} for thread in self._threads}
        return Health(self._ready and all(thread.status == RUNNING for thread in self._threads), components)

    # --- starting ---

    def _wait_for_stages(self) -> None:
        """Wait until every stage has read its state; raises StartError for one that cannot."""
        deadline = Deadline(START_SECONDS)
        for thread in self._threads:
            while thread.status == STARTING and deadline.left() > 0:
                time.sleep(DRAINED_POLL_SECONDS / 5)
            if thread.status != RUNNING:
                raise StartError(f"{thread.name} did not start: {thread.error or 'not in time'}")

    async def _start_servers(self) -> None:
        routes = [("/v1/detections/stream", DetectionsStream(self.bus).handle), *self._assembly.routes()]
        endpoint = self.settings.service.telemetry.metrics.endpoint
        self._api = HttpApi(endpoint, self.health, routes)
        await self._start_one("service::telemetry::metrics::endpoint", endpoint, self._api.start)
        for server in self._assembly.servers:
            await self._start_one(server.name, server.address, server.start)
        for receiver in self._assembly.receivers:
            await self._start_one("receivers::otlp", "its endpoints", receiver.start)

    async def _start_one(self, what: str, where: str, start: Callable[[], object]) -> None:
        try:
            await start()  # type: ignore[misc]  # every start is a coroutine function
        except (OSError, RuntimeError) as error:
            raise StartError(
                f"{what} cannot listen on {where}: {error}. Free the address or choose another."
            ) from error

    def _running_info(self) -> RunningInfo:
        doors = self.doors()
        return RunningInfo(
            pid=os.getpid(),
            started_at=time.time(),
            grpc=doors.get("otlp grpc", ""),
            http=doors.get("otlp http", ""),
            metrics=doors.get("health and metrics", ""),
            clickhouse_http=doors.get("clickhouse http", ""),
        )

    def _api_host(self) -> str:
        return self.settings.service.telemetry.metrics.endpoint.rpartition(":")[0] or "127.0.0.1"

    # --- stopping ---

    def _on_fenced(self, reason: str) -> None:
        self.failure = f"stopped: {reason}; another tracemend is running on the same data"
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._failed.set)

    def _drain(self, deadline: Deadline) -> None:
        """Stop the stages in the order of a span's way, each once it has read what the one before it wrote."""
        for thread in sorted(self._threads, key=lambda thread: self._assembly.drain_order(thread.name)):
            while deadline.left() > 1.0 and thread.behind() and thread.status == RUNNING:
                time.sleep(DRAINED_POLL_SECONDS)
            thread.stop()
        for thread in self._threads:
            thread.join(deadline.left())
