"""`tracemend up` and `tracemend run`: start the pipeline, show it, and drain it on the first signal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
import orjson
from rich.console import Console

from collector.bus.polling import polled
from collector.bus.protocol import BusUnavailable, Consumer
from collector.cli.configuration import load_settings
from collector.cli.live_view import LiveView
from collector.event_loop import run
from collector.fitting_plan import LimitTooLowError, fitting
from collector.judging import why_off
from collector.looking import why_not
from collector.pipeline import Pipeline
from collector.process_memory import set_allocator
from collector.process_plan import SUPERVISOR
from collector.processor_groups import SplitGroupError, groups_here
from collector.roles import HEALING, PROCESSORS, Roles, UnknownRoleError, asked_for, enabled
from collector.running import DataDirBusyError
from collector.stage_threads import StartError
from schemas.topics import DETECTIONS


class _Line(msgspec.Struct):
    """What is shown of a detection."""

    id: str
    type: str
    status: str
    severity: str
    confidence: float
    trace_id: str
    title: str
    agent: str | None = None


DRAIN_SECONDS = 8.0
"""What a shutdown may take, all together; Ctrl-C exits within 10 s."""
ENOUGH_DESCRIPTORS = 65_536


def up(config: list[Path], set_: list[str], data_dir: Path | None, only: list[str] | None = None) -> int:
    """Run the pipeline in the foreground until SIGINT or SIGTERM; returns the exit status."""
    settings = load_settings(config, set_, data_dir)
    set_allocator()
    use_all_descriptors()
    console = Console(stderr=True)
    try:
        others, fewer = fitting(settings, only or ())
        for part in others or (asked_for(only or ()),):
            groups_here(settings, enabled(settings, PROCESSORS), Roles(part))
        pipeline = Pipeline(settings, Roles(SUPERVISOR if others else asked_for(only or ())), others)
    except (UnknownRoleError, SplitGroupError, DataDirBusyError, LimitTooLowError) as error:
        console.print(f"tracemend: {error}", markup=False, highlight=False, soft_wrap=True)
        return 2
    except BusUnavailable as error:
        console.print(f"tracemend: {error}", markup=False, highlight=False, soft_wrap=True)
        return 1
    for told in filter(None, (fewer, why_not(settings), why_off(settings))):
        _say(console, told)
    return run(_run(pipeline, console, tells=not only or HEALING in only))


def use_all_descriptors() -> None:
    """Take as many file descriptors as the system lets us have: its usual 1,024 are fewer than the doors may need.

    Without it a flood of connections would use up those of the bus and the store as well.
    """
    if os.name != "posix":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, ENOUGH_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # where the system gives fewer than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _run(pipeline: Pipeline, console: Console, tells: bool) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        await pipeline.start()
        await _until_stopped(pipeline, console, stop, tells)
    except StartError as error:
        console.print(f"tracemend: {error}", markup=False, highlight=False, soft_wrap=True)
        return 1
    finally:
        _say(console, "draining")
        await pipeline.stop(DRAIN_SECONDS)
    if pipeline.failure:
        console.print(f"tracemend: {pipeline.failure}", markup=False, highlight=False, soft_wrap=True)
        return 1
    _say(console, "stopped")
    return 0


async def _until_stopped(pipeline: Pipeline, console: Console, stop: asyncio.Event, tells: bool) -> None:
    for name, address in pipeline.doors().items():
        _say(console, f"{name} on {address}")
    _say(console, f"ready; data in {pipeline.data_dir}")
    # Of many processes each would read all detections and print them: the one that heals does.
    watcher = asyncio.create_task(_watch(pipeline, console) if tells else stop.wait())
    failed = asyncio.create_task(pipeline.failed())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait([failed, stopped, watcher], return_when=asyncio.FIRST_COMPLETED)
    for task in (watcher, failed, stopped):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _watch(pipeline: Pipeline, console: Console) -> None:
    """Show detections as they come: drawn on a terminal, as plain lines in a pipe."""
    reader = pipeline.bus.reader([DETECTIONS])
    try:
        if console.is_terminal:
            with LiveView(console, pipeline.doors(), pipeline.metrics_now) as view:
                while True:
                    for document in await _new(reader):
                        view.detection(document)
                    view.draw()
        while True:
            for document in await _new(reader):
                _say(console, detection_line(document))
    finally:
        reader.close()


async def _new(reader: Consumer) -> list[dict[str, Any]]:
    """Wait for detections; a bus that is away is waited for, and what is none (anybody may write there) passed over."""
    try:
        batch = await polled(reader, 200, 0.5)
    except BusUnavailable as error:
        await asyncio.sleep(error.retry_after_seconds)
        return []
    return [document for record in batch.records if (document := _detection(record.value)) is not None]


def _detection(value: bytes) -> dict[str, Any] | None:
    try:
        msgspec.json.decode(value, type=_Line)
    except msgspec.DecodeError:
        return None
    return dict(orjson.loads(value))


def detection_line(document: dict[str, Any]) -> str:
    """Write a detection as one plain log line."""
    what = f"{document['type']} {document['status']} severity={document['severity']}"
    where = f"confidence={document['confidence']:.2f} trace={document['trace_id']} id={document['id']}"
    return f"detection {what} {where} {document['title']}"


def _say(console: Console, line: str) -> None:
    if console.is_terminal:
        console.print(line, markup=False, highlight=False)
    else:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
