"""Runs every `bench_*.py` of this folder and prints its figures as a table."""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
import platform
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from . import Figure

FOLDER = Path(__file__).parent


def main() -> int:
    """Measure what is named, or all of it."""
    names = sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("only", nargs="*", help=f"which: {', '.join(names)}")
    parser.add_argument("--history", type=Path, help="append the figures to this file, one JSON object a line")
    parser.add_argument("--minutes", type=float, help="how long the whole pipeline is loaded (default: half a minute)")
    options = parser.parse_args()
    console = Console()
    table = Table(title=f"{os.cpu_count()} cores, Python {platform.python_version()}", box=None, title_justify="left")
    for title, justify in (("what", "left"), ("figure", "right"), ("unit", "left")):
        table.add_column(title, justify=justify)  # type: ignore[arg-type]  # rich's literal type
    measured: list[Figure] = []
    for name in options.only or names:
        with console.status(f"measuring {name}"):
            run = importlib.import_module(f"tests.benchmarks.bench_{name}").run
            lasting = options.minutes is not None and "minutes" in inspect.signature(run).parameters
            measured += run(minutes=options.minutes) if lasting else run()
    for what, figure, unit in measured:
        table.add_row(what, f"{figure:,.0f}" if figure >= 100 else f"{figure:,.2f}", unit)
    console.print(table)
    if options.history:
        entry = {"at": time.time(), "cores": os.cpu_count(), "figures": measured}
        with options.history.open("a", encoding="utf-8") as history:
            history.write(json.dumps(entry) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
