"""How long the command line takes to say what it can do: importing is most of it."""

from __future__ import annotations

import subprocess
import sys
import time

from . import Figure

RUNS = 7


def run() -> list[Figure]:
    """Measure the best of several, and the processor time of it."""
    taken = [_milliseconds() for _ in range(RUNS)]
    return [("tracemend --help", min(taken), "ms")]


def _milliseconds() -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "collector.cli.main", "--help"], check=True, capture_output=True)
    return (time.perf_counter() - begun) * 1e3
