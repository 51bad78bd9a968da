"""Puts the pipeline together from its settings, starts it back to front, and stops it front to back.

Start: data dir lock, bus, then the stages of this process and the other processes at once, HTTP API, doors last.
Stop: doors first, then each process and stage in the order of a span's way, so that each drains into the next.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from prometheus_client import Metric

from collector.admission import resident_bytes
from collector.assembly import Assembly
from collector.detector_stages import detectors_ready
from collector.fitting_plan import holds_store
from collector.forked import forked
from collector.http_api import Health, HttpApi
from collector.memory_shares import shares
from collector.process_memory import collect_rarely, give_back_what_is_free
from collector.process_plan import Part
from collector.program_metrics import ProgramMetrics
from collector.roles import PROCESSORS, Roles, enabled, is_essential
from collector.running import DataDirLock, RunningInfo, write_running
from collector.shutdown import Deadline
from collector.stage_threads import StageThreads, StartError
from collector.stages import DEGRADED, RUNNING
from collector.supervisor import Supervisor
from config.settings import MIB, Settings

WELL = (RUNNING, DEGRADED)


class Pipeline:
    """A running pipeline. Build it, `start`, and `stop` once; owned by one event loop.

    `roles` are what this process runs, `others` what processes beside it do.
    """

    def __init__(self, settings: Settings, roles: Roles | None = None, others: Sequence[Part] = ()) -> None:
        self.settings = settings
        self.data_dir: Path = settings.service.data_dir
        self.failure = ""
        self._lock = DataDirLock(self.data_dir)
        self._lock.acquire()
        self._failed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._others = others
        self._supervisor: Supervisor | None = None
        roles = roles or Roles()
        store = holds_store(settings, Roles() if others else roles)
        everything = Roles([role for part in others for role in part]) if others else roles
        self._detectors = detectors_ready(settings, enabled(settings, PROCESSORS), everything)
        self._memory = shares(settings.service.memory_limit_mib * MIB, 1 + len(others), store)
        self._first = forked(others)
        try:
            self._assembly = Assembly(settings, roles, self._memory, not others, self._resident_bytes)
        except BaseException:
            for process in self._first:
                process.kill()
            raise
        self.bus = self._assembly.bus
        self._stages = StageThreads(
            self.bus,
            self._on_failed,
            self._assembly.drain_order,
            self._memory.batch,
            settings.bus.dead_letters.max_per_minute,
        )
        self._api: HttpApi | None = None
        self._ready = False

    async def start(self) -> None:
        """Start everything; raises StartError naming the component that would not."""
        self._loop = asyncio.get_running_loop()
        if self._others:
            held = [self._lock.descriptor]
            self._supervisor = Supervisor(
                self._others, self.settings, self._memory, held, self._on_failed, self._tell_where, self._first
            )
        await asyncio.to_thread(self._start_own)
        if self._supervisor is not None:
            await self._supervisor.started()
            self.bus.retain_for(self._supervisor.groups())
        await self._start_servers()
        collect_rarely()
        give_back_what_is_free()
        self._ready = True
        self._tell_where()

    async def stop(self, seconds: float) -> None:
        """Drain and stop; what could not be drained in time stays on the bus for the next start."""
        deadline = Deadline(seconds)
        self._ready = False
        for receiver in self._assembly.receivers:
            await receiver.stop(deadline.left() / 2)
        if self._supervisor is not None:
            await self._supervisor.stop(deadline)
        await asyncio.to_thread(self._stages.drain, deadline)
        for server in self._assembly.servers:
            await server.stop()
        if self._api is not None:
            await self._api.stop()
        await asyncio.to_thread(self._assembly.close)
        with suppress(OSError):  # left behind it says nothing: its reader looks whether the lock is held
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
        return doors | dict(self._supervisor.doors() if self._supervisor is not None else {})

    def health(self) -> Health:
        """Say whether everything is ready, and how each stage and each process is."""
        trouble = self.bus.trouble
        bus = {"status": "failing" if trouble else "running", "error": trouble}
        components = {"bus": bus, **self._stages.components()}
        ready = self._ready and self._stages.running()
        if self._supervisor is not None:
            components |= self._supervisor.components()
            ready = ready and self._supervisor.ready()
        well = all(how["status"] in WELL for name, how in components.items() if is_essential(name))
        return Health(ready and well, components, self._detectors)

    def metrics_now(self) -> Iterable[Metric]:
        """Give the metrics of all processes as they last reported."""
        return ProgramMetrics(self._supervisor.families() if self._supervisor is not None else []).collect()

    # --- starting ---

    def _start_own(self) -> None:
        """Start the stages of this process, and make its doors while others start."""
        self._stages.start(self._assembly.stages())
        _ = self._assembly.receivers, self._assembly.servers

    async def _metrics(self) -> ProgramMetrics:
        """Ask all processes for their metrics."""
        if self._supervisor is None:
            return ProgramMetrics([])
        await self._supervisor.ask_reports()
        return ProgramMetrics(self._supervisor.families())

    async def _start_servers(self) -> None:
        endpoint = self.settings.service.telemetry.metrics.endpoint
        self._api = HttpApi(endpoint, self.health, self._assembly.routes(), self._metrics)
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

    def _tell_where(self) -> None:
        """Say in the data dir where the pipeline can be reached, again when one of its processes is another one."""
        if not self._ready:
            return
        try:
            write_running(self.data_dir, self._running_info())
        except OSError as error:  # the data dir may have become read-only since; the doors are open all the same
            sys.stderr.write(f"tracemend: {self.data_dir}/running.json cannot be written ({error.strerror})\n")

    def _running_info(self) -> RunningInfo:
        doors = self.doors()
        return RunningInfo(
            pid=os.getpid(),
            started_at=time.time(),
            grpc=doors.get("otlp grpc", ""),
            http=doors.get("otlp http", ""),
            metrics=doors.get("health and metrics", ""),
            clickhouse_http=doors.get("clickhouse http", ""),
            processes=dict(self._supervisor.pids()) if self._supervisor is not None else {},
        )

    def _api_host(self) -> str:
        return self.settings.service.telemetry.metrics.endpoint.rpartition(":")[0] or "127.0.0.1"

    def _resident_bytes(self) -> int:
        """Measure the memory of all processes."""
        pids = self._supervisor.pids().values() if self._supervisor is not None else ()
        return resident_bytes() + sum(resident_bytes(pid) for pid in pids)

    # --- stopping ---

    def _on_failed(self, reason: str) -> None:
        self.failure = f"stopped: {reason}"
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._failed.set)
