"""A process that a supervisor started: some of a pipeline's stages, and servers, until it is told to drain.

It dies with its supervisor, however that one dies: the kernel kills it (Linux), and the link's end says so (elsewhere).
Signals are the supervisor's to answer; a terminal sends Ctrl-C to both.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import sys

from collector.assembly import Assembly
from collector.process_link import DRAIN, Ask, Assignment, Link, Report
from collector.process_memory import collect_rarely, give_back_what_is_free, set_allocator
from collector.program_metrics import own_families
from collector.roles import Roles
from collector.shutdown import Deadline
from collector.stage_threads import StageThreads, StartError

REPORT_SECONDS = 1.0
PR_SET_PDEATHSIG = 1
FOR_THE_WAY_OUT = 0.5
"""Seconds of the budget left for closing what was drained."""


class Child:
    """What one process runs."""

    def __init__(self, assignment: Assignment, link: Link) -> None:
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._assembly = Assembly(assignment.settings, Roles(assignment.roles), assignment.memory, retains=False)
        self._stages = StageThreads(
            self._assembly.bus,
            self._on_failed,
            self._assembly.drain_order,
            assignment.memory.batch,
            assignment.settings.bus.dead_letters.max_per_minute,
        )
        self._report = Report()
        self._told = b""
        self._ended = asyncio.Event()

    async def run(self) -> int:
        """Start, report until told to drain, drain; returns the exit status."""
        try:
            await asyncio.to_thread(lambda: self._stages.start(self._assembly.stages()))
            await self._start_servers()
        except StartError as error:
            self._report.failure = self._report.failure or str(error)
            await self._tell()
            return 1
        collect_rarely()
        give_back_what_is_free()
        self._report.ready = True
        reporting = asyncio.create_task(self._report_on())
        ask = await self._asked_to_drain()
        reporting.cancel()
        await self._drain(Deadline(max(0.0, ask.seconds - FOR_THE_WAY_OUT)))
        return 0

    async def _start_servers(self) -> None:
        for server in self._assembly.servers:
            try:
                await server.start()
            except (OSError, RuntimeError) as error:
                where = f"{server.name} cannot listen on {server.address}"
                raise StartError(f"{where}: {error}. Free the address or choose another.") from error

    async def _asked_to_drain(self) -> Ask:
        while True:
            ask: Ask = await self._link.hear(Ask)
            if ask.what == DRAIN:
                return ask
            self._report.answers += 1
            await self._tell()

    async def _report_on(self) -> None:
        """Report at once that all is ready, then every second, and when something can no longer go on."""
        while True:
            await self._tell()
            try:
                await asyncio.wait_for(self._ended.wait(), REPORT_SECONDS)
            except TimeoutError:
                continue
            self._report.ready = False
            await self._tell()
            return

    async def _tell(self) -> None:
        self._report.components = {name: dict(how) for name, how in self._stages.components().items()}
        self._report.doors = {server.name: server.address for server in self._assembly.servers}
        self._report.families = own_families()
        await self._link.tell(self._report)

    async def _drain(self, deadline: Deadline) -> None:
        await asyncio.to_thread(self._stages.drain, deadline)
        self._report.ready = False
        await self._tell()
        for server in self._assembly.servers:
            await server.stop()
        await asyncio.to_thread(self._assembly.close)

    def _on_failed(self, reason: str) -> None:
        self._report.failure = reason
        self._loop.call_soon_threadsafe(self._ended.set)


def die_with(supervisor: int) -> None:
    """Have the kernel kill this process when its supervisor dies, where it can; ends at once if that has happened."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:
        os._exit(1)


def live(end: socket.socket, supervisor: int) -> int:
    """Do what comes over the link until told to drain, or until nobody is there any more; returns the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if supervisor:
        die_with(supervisor)
    return asyncio.run(_live(end))


async def _live(end: socket.socket) -> int:
    link = await Link.over(end)
    try:
        assignment = await link.assigned()
        die_with(assignment.supervisor)
        return await Child(assignment, link).run()
    except (asyncio.IncompleteReadError, OSError):
        return 1  # nobody is there any more


def main() -> None:
    """Live as a child that starts from nothing: `python -m collector.child NAME DESCRIPTOR`."""
    set_allocator()
    status = live(socket.socket(fileno=int(sys.argv[2])), 0)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # threads that are stuck in native code are not waited for: what counts is on the bus


if __name__ == "__main__":
    main()
