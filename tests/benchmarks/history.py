"""What was measured before on a machine of this kind: one file for each, one JSON object a line for each run."""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections.abc import Iterable
from pathlib import Path

from . import Figure

CPU_INFO = Path("/proc/cpuinfo")


def machine() -> str:
    """Name what a figure depends on: processor, cores, Python."""
    return f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def default_file() -> Path:
    """Give the file of machines like this one, in the user's state folder."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    name = re.sub(r"[^a-z0-9.]+", "-", machine().lower()).strip("-")
    return state / "tracemend" / "benchmarks" / f"{name}.jsonl"


def latest(file: Path) -> dict[str, float]:
    """Read the last figure of each kind; none where there is no file yet."""
    if not file.exists():
        return {}
    runs = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {what: value for run in runs for what, value, _unit in run["figures"]}


def append(file: Path, figures: Iterable[Figure]) -> None:
    """Add a run."""
    file.parent.mkdir(parents=True, exist_ok=True)
    entry = {"at": time.time(), "machine": machine(), "figures": list(figures)}
    with file.open("a", encoding="utf-8") as history:
        history.write(json.dumps(entry) + "\n")


def _processor() -> str:
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.exists() else []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
