#!/usr/bin/env python3
"""Sends recorded runs of real agents to a pipeline, again and again: something to look at without agents of one's own.

Set as any OTLP exporter is: OTEL_EXPORTER_OTLP_ENDPOINT (HTTP), OTEL_EXPORTER_OTLP_HEADERS; DEMO_EVERY_SECONDS says how
often (20). `--once` sends them once and says whether all were taken.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping

from collector.cli.recorded_runs import recorded_runs

ENDPOINT = "http://127.0.0.1:4318"
TIMEOUT_SECONDS = 10
WAIT_SECONDS = float(os.environ.get("DEMO_WAIT_SECONDS") or 5)
"""How long to wait for a pipeline that is not there or has enough to do."""


def main(arguments: list[str]) -> int:
    """Send until asked to stop; returns the exit status."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    once = "--once" in arguments
    while not stop.is_set():
        refused = [why for why in sent(stop) if why]
        if once:
            return 1 if refused else 0
        stop.wait(float(os.environ.get("DEMO_EVERY_SECONDS") or 20))
    return 0


def sent(stop: threading.Event) -> Iterator[str]:
    """Send every recorded run as if it had just ended; gives for each request why it was not taken, or nothing."""
    for run in recorded_runs(time.time_ns()):
        for path, body in run.requests:
            if stop.is_set():
                return
            why = post(path, body)
            if why:
                sys.stderr.write(f"{run.name} was not taken: {why}\n")
                stop.wait(WAIT_SECONDS)
            yield why


def post(path: str, body: bytes) -> str:
    """Post an OTLP request; says why it was not taken."""
    endpoint = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or ENDPOINT
    told = {**headers(os.environ.get("OTEL_EXPORTER_OTLP_HEADERS", "")), "Content-Type": "application/x-protobuf"}
    request = urllib.request.Request(f"{endpoint.rstrip('/')}{path}", body, told)  # noqa: S310  # the operator's own
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):  # noqa: S310  # as above
            return ""
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read(300).decode(errors='replace')}"
    except OSError as error:
        return str(error)


def headers(text: str) -> Mapping[str, str]:
    """Read headers as the specification has them: `name=value,name=value`."""
    pairs = (pair.partition("=") for pair in text.split(",") if "=" in pair)
    return {name.strip(): urllib.parse.unquote(value.strip()) for name, _, value in pairs}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
