"""`tracemend demo`: the whole pipeline on free ports, fed with recorded runs, and what it finds in them."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from collector.cli.live_view import SEVERITY_STYLE
from collector.cli.recorded_runs import RecordedRun, recorded_runs
from collector.running import RunningInfo, read_running
from sinks.reading import waiting

START_SECONDS = 60.0
FIND_SECONDS = 20.0
QUIET_SECONDS = 1.5
ANY_PORT = "127.0.0.1:0"
ON_FREE_PORTS = (
    "receivers::otlp::protocols::grpc::endpoint",
    "receivers::otlp::protocols::http::endpoint",
    "extensions::clickhouse_http::endpoint",
    "service::telemetry::metrics::endpoint",
)
NO_KEYS = "extensions::api_keys::keys=[]"
"""The demo sends without a key, to doors of its own that nobody else knows."""


class DemoFailed(Exception):  # noqa: N818  # named by what the reader should know
    """The demo could not be shown; says why."""


def demo(config: list[Path], set_: list[str], data_dir: Path | None) -> int:
    """Run the demo; returns the exit status."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="tracemend-demo-") as folder:
        where = data_dir or Path(folder)
        try:
            with _pipeline(console, where, config, set_) as running:
                _show(console, running)
        except DemoFailed as error:
            console.print(Text(f"tracemend: {error}", style="red"))
            return 1
    return 0


def _show(console: Console, running: RunningInfo) -> None:
    runs = list(recorded_runs(time.time_ns()))
    with console.status("replaying recorded runs of real agents as OTLP"):
        for run in runs:
            _send(running.http, run)
    with console.status("waiting for what is found in them"):
        found = _settled(running.clickhouse_http)
    console.print(_runs_table(runs, found))
    _print_healing(console, running.clickhouse_http)
    console.print(
        "\nThat was a pipeline of its own, now stopped. Start one for your agents with [bold]tracemend up[/bold]."
    )


def _runs_table(runs: list[RecordedRun], found: list[dict[str, Any]]) -> Table:
    table = Table(title="recorded runs, and what was found in them", title_justify="left", box=None, pad_edge=False)
    for title in ("run", "detection", "severity", "conf", "what happened"):
        table.add_column(title, overflow="fold" if title == "what happened" else "ellipsis")
    for run in runs:
        own = [document for document in found if document["trace_id"] in run.trace_ids]
        for number, document in enumerate(own):
            severity = str(document["severity"])
            table.add_row(
                Text(run.name if number == 0 else ""),
                Text(str(document["type"]), style="bold"),
                Text(severity, style=SEVERITY_STYLE.get(severity, "")),
                f"{document['confidence']:.2f}",
                Text(str(document["title"])),
            )
        if not own:
            table.add_row(Text(run.name), Text("nothing", style="green"), "", "", Text("healthy", style="dim"))
    return table


def _print_healing(console: Console, door: str) -> None:
    applied = _query(door, "SELECT Json FROM healing FINAL WHERE Event = 'applied' ORDER BY At")
    events = _query(door, "SELECT Json FROM approvals FINAL ORDER BY At, Event")
    asked = [event for event in waiting(events) if event["kind"] == "approval"]
    console.print(f"\n[bold]{len(applied)} SAFE fixes applied by themselves[/bold], as guard policies:")
    for document in applied:
        console.print(Text(f"  {document['fix_type']} for {document['agent']}: {json.dumps(document['parameters'])}"))
    waits = "1 fix waits" if len(asked) == 1 else f"{len(asked)} fixes wait"
    console.print(f"[bold]{waits} for a person[/bold] (tracemend approvals list, approve, reject):")
    for document in asked:
        console.print(Text(f"  {document['fix_type']} ({document['risk']}): {document['detection_title']}"))


@contextmanager
def _pipeline(console: Console, data_dir: Path, config: list[Path], set_: list[str]) -> Iterator[RunningInfo]:
    """Start `tracemend up` as a process of its own, and stop it afterwards."""
    options = [part for key in ON_FREE_PORTS for part in ("--set", f"{key}={ANY_PORT}")]
    options += [part for path in config for part in ("--config", str(path))]
    options += [part for setting in (*set_, NO_KEYS) for part in ("--set", setting)]
    command = [sys.executable, "-m", "collector.cli.main", "up", "--data-dir", str(data_dir), *options]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)  # noqa: S603  # ourselves
        try:
            with console.status("starting the pipeline on free ports"):
                running = _wait_until_ready(process, data_dir)
            if running is None:
                log.seek(0)
                raise DemoFailed(f"the pipeline did not start: {log.read().decode(errors='replace')[-2_000:]}")
            yield running
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(15)


def _wait_until_ready(process: subprocess.Popen[bytes], data_dir: Path) -> RunningInfo | None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        running = read_running(data_dir)
        if running is not None and running.pid == process.pid:
            return running
        time.sleep(0.05)
    return None


def _send(door: str, run: RecordedRun) -> None:
    connection = http.client.HTTPConnection(door, timeout=30)
    for path, body in run.requests:
        connection.request("POST", path, body, {"Content-Type": "application/x-protobuf"})
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise DemoFailed(f"{run.name} was refused with {response.status}: {answer[:200]!r}")
    connection.close()


def _settled(door: str) -> list[dict[str, Any]]:
    """Read detections until nothing new has come for a while."""
    deadline, quiet_since, before = time.monotonic() + FIND_SECONDS, time.monotonic(), -1
    found: list[dict[str, Any]] = []
    while time.monotonic() < deadline:
        found = _query(door, "SELECT Json FROM detections_latest WHERE Status != 'withdrawn' ORDER BY EventTime")
        if len(found) != before:
            before, quiet_since = len(found), time.monotonic()
        elif found and time.monotonic() - quiet_since > QUIET_SECONDS:
            break
        time.sleep(0.2)
    return found


def _query(door: str, sql: str) -> list[dict[str, Any]]:
    connection = http.client.HTTPConnection(door, timeout=30)
    try:
        connection.request("POST", "/", f"{sql} FORMAT JSONEachRow".encode())
        response = connection.getresponse()
        answer = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise DemoFailed(f"the store answered {response.status}: {answer[:300]!r}")
    return [json.loads(json.loads(line)["Json"]) for line in answer.splitlines()]
