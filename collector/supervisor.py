"""Keeps the processes of a pipeline alive: starts them, starts them again when they die, drains them at the end.

A process that is killed loses nothing: its stages go on from their last commit. Whoever wants to kill one finds its
pid in `running.json`, under `processes`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from collector.forked import Forked
from collector.memory_shares import MemoryShares
from collector.process_link import DRAIN, REPORT, Ask, Assignment, Family, Link, Report
from collector.process_plan import Part, name_of
from collector.program_metrics import Retired
from collector.roles import PROCESSORS, Roles
from collector.shutdown import Deadline
from collector.stage_threads import START_SECONDS, StartError
from config.settings import Settings

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 10.0
STILLBORN_LIMIT = 6
"""How often in a row a process may die before it is ready."""
DEATHS_LIMIT, DEATHS_SECONDS = 40, 60.0
"""How many deaths in which time are too many."""
ANSWER_SECONDS = 2.0
DOORS = {"clickhouse http": "clickhouse_http"}
"""Doors that a process which starts again has to open where they were, by their extension."""


class ChildProcess:
    """One process, started at once, in as many lives as it takes. Owned by one event loop.

    `first` is its first life where that has begun already.
    """

    def __init__(
        self,
        part: Part,
        first: Forked | None,
        settings: Settings,
        memory: MemoryShares,
        inherited: Sequence[int],
        on_failed: Callable[[str], None],
        on_change: Callable[[], None],
    ) -> None:
        self.name = name_of(part)
        self.pid = 0
        self.report = Report()
        self.retired = Retired()
        self._part = part
        self._settings = settings
        self._memory = memory
        self._inherited = tuple(inherited)
        self._on_failed = on_failed
        self._on_change = on_change
        self._link: Link | None = None
        self._forked = first
        self._process: subprocess.Popen[bytes] | Forked | None = first
        self._news = asyncio.Condition()
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._deaths: deque[float] = deque(maxlen=DEATHS_LIMIT)
        self._stillborn = 0
        self._stopping = False
        self._keeper = asyncio.create_task(self._keep())

    async def ready(self) -> None:
        """Return when it is ready for the first time; raises StartError with what it says, or how it died."""
        try:
            await asyncio.wait_for(asyncio.shield(self._first), START_SECONDS + 5.0)
        except TimeoutError as error:
            raise StartError(f"the process {self.name} was not ready in time") from error

    async def ask_report(self) -> None:
        """Have it report now; one that does not answer in time is left as it last was."""
        link, wanted = self._link, self.report.answers + 1
        if link is None or not self.report.ready:
            return
        try:
            await link.tell(Ask(REPORT))
            async with self._news:
                await asyncio.wait_for(
                    self._news.wait_for(lambda: self.report.answers >= wanted or self._link is not link), ANSWER_SECONDS
                )
        except (OSError, TimeoutError):
            return

    async def stop(self, deadline: Deadline) -> None:
        """Drain it and wait for its end; after the deadline it is killed, which loses nothing."""
        self._stopping = True
        if self._link is not None and (self.report.ready or self.report.failure):
            with contextlib.suppress(OSError):
                await self._link.tell(Ask(DRAIN, deadline.left()))
                await asyncio.wait({self._keeper}, timeout=deadline.left())
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
        await asyncio.wait({self._keeper}, timeout=1.0)
        self._keeper.cancel()

    # --- its lives ---

    async def _keep(self) -> None:
        while not self._stopping:
            code = await self._live()
            if self._stopping:
                return
            self._bury(code)
            await asyncio.sleep(min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**self._stillborn))

    async def _live(self) -> int:
        """Start the process and hear its reports until it ends; returns its exit status."""
        self._process, ours = self._begun()
        self.pid = self._process.pid
        self._link = await Link.over(ours)
        try:
            await self._link.assign(Assignment(self._own_settings(), self._part, self._memory, os.getpid()))
            while True:
                await self._take(await self._link.hear(Report))
        except (asyncio.IncompleteReadError, OSError):
            pass
        self._link.close()
        self._link = None
        return await asyncio.to_thread(self._process.wait)

    def _begun(self) -> tuple[subprocess.Popen[bytes] | Forked, socket.socket]:
        """Begin a life, and give our end of what it hears."""
        if self._forked is not None:
            first, self._forked = self._forked, None
            return first, first.link
        ours, theirs = socket.socketpair()
        with theirs:
            return self._spawn(theirs.fileno()), ours

    def _spawn(self, descriptor: int) -> subprocess.Popen[bytes]:
        """Run this program again: with the modules of this one, and none of the folder it happens to stand in."""
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if Path(path).is_absolute()),
        }
        return subprocess.Popen(  # noqa: S603  # ourselves
            [sys.executable, "-P", "-m", "collector.child", self.name, str(descriptor)],
            stdin=subprocess.DEVNULL,
            pass_fds=(descriptor, *self._inherited),
            env=environment,
        )

    def _own_settings(self) -> Settings:
        """Give the settings it needs, with the doors where they were: one that took any free port keeps it."""
        extensions = dict(self._settings.extensions)
        for door, address in self.report.doors.items():
            extension = DOORS.get(door, "")
            if extension in extensions:
                extensions[extension] = extensions[extension].model_copy(update={"endpoint": address})
        processors = self._settings.processors if Roles(self._part).runs(PROCESSORS) else {}
        return replace(self._settings, receivers={}, processors=processors, extensions=extensions)

    async def _take(self, report: Report) -> None:
        came_up = report.ready and not self.report.ready
        was_ready = self.report.ready
        self.report = report
        if came_up:
            self._stillborn = 0
            if not self._first.done():
                self._first.set_result(None)
            self._on_change()
        if report.failure and was_ready:
            self._on_failed(report.failure)
        async with self._news:
            self._news.notify_all()

    def _bury(self, code: int) -> None:
        """Keep what it had counted, and give up on one that dies too often."""
        self.retired.add(self.report.families)
        said = self.report.failure or f"the process {self.name} ended ({_how(code)})"
        self._stillborn += 0 if self.report.ready else 1
        self.report = Report(doors=self.report.doors)
        self.pid = 0
        self._on_change()
        if not self._first.done() and (code >= 0 or self._stillborn >= STILLBORN_LIMIT):
            self._stopping = True
            self._first.set_exception(StartError(said))
        elif self._too_often():
            self._stopping = True
            self._on_failed(f"{said}, again and again: see what it printed, or set service::processes=1")

    def _too_often(self) -> bool:
        now = time.monotonic()
        self._deaths.append(now)
        many = len(self._deaths) == DEATHS_LIMIT and now - self._deaths[0] < DEATHS_SECONDS
        return many or self._stillborn >= STILLBORN_LIMIT


class Supervisor:
    """All processes beside the first one, in the order of a span's way."""

    def __init__(
        self,
        parts: Sequence[Part],
        settings: Settings,
        memory: MemoryShares,
        inherited: Sequence[int],
        on_failed: Callable[[str], None],
        on_change: Callable[[], None],
        first: Sequence[Forked] = (),
    ) -> None:
        self._children = [
            ChildProcess(part, life, settings, memory, inherited, on_failed, on_change)
            for part, life in zip_longest(parts, first)
        ]

    async def started(self) -> None:
        """Return when all of them are ready; raises StartError where one cannot start."""
        await asyncio.gather(*(child.ready() for child in self._children))

    async def stop(self, deadline: Deadline) -> None:
        """Drain one after the other, each into the next."""
        for child in self._children:
            await child.stop(deadline)

    def ready(self) -> bool:
        """Say whether all of them are ready now."""
        return all(child.report.ready for child in self._children)

    def components(self) -> Mapping[str, Mapping[str, str]]:
        """Say how each stage is, and each process."""
        found = {name: how for child in self._children for name, how in child.report.components.items()}
        for child in self._children:
            status = "running" if child.report.ready else "starting"
            found[f"process/{child.name}"] = {"status": status, "error": child.report.failure}
        return found

    def groups(self) -> list[str]:
        """List the groups they read as."""
        return [name for child in self._children for name in child.report.components]

    def doors(self) -> Mapping[str, str]:
        """Say where what can be reached."""
        return {name: address for child in self._children for name, address in child.report.doors.items()}

    def pids(self) -> Mapping[str, int]:
        """Say which process is which, of those that live."""
        return {child.name: child.pid for child in self._children if child.pid}

    def families(self) -> list[list[Family]]:
        """Give what they last counted, and what those before them had."""
        return [families for child in self._children for families in (child.report.families, child.retired.families)]

    async def ask_reports(self) -> None:
        """Have all of them report now."""
        await asyncio.gather(*(child.ask_report() for child in self._children))


def _how(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"status {code}"
