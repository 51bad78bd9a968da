"""Runs every `bench_*.py` of this folder: figures beside their targets and beside what this machine did before."""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from collector.process_memory import collect_rarely

from . import Figure, history, report
from .targets import TARGETS

FOLDER = Path(__file__).parent
NAMES = sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))


def main() -> int:
    """Measure what is named, or all of it; 1 where a figure is not what it is to be."""
    options = _options()
    progress = Console(stderr=True)
    figures = [figure for name in options.only or NAMES for figure in _measured(name, options.minutes, progress)]
    before = history.latest(options.history)
    history.append(options.history, figures)
    if options.format == "json":
        print(report.as_json(history.machine(), figures, before))
    else:
        _print(report.table(history.machine(), figures, before))
    progress.print(f"kept in {options.history}", style="dim", soft_wrap=True)
    if not options.only:
        for what in TARGETS.keys() - {what for what, _, _ in figures}:
            progress.print(f"not measured: {what}", style="red")
    return int(any(what in TARGETS and not TARGETS[what].met(value) for what, value, _ in figures))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="name", choices=[*NAMES, []], help=f"which: {', '.join(NAMES)}")
    parser.add_argument("--minutes", type=float, help="how long the whole pipeline is loaded (default: half a minute)")
    parser.add_argument("--history", type=Path, default=history.default_file(), help="where figures are kept")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    return parser.parse_args()


def _measured(name: str, minutes: float | None, progress: Console) -> list[Figure]:
    run = importlib.import_module(f"tests.benchmarks.bench_{name}").run
    collect_rarely()  # as every process of a pipeline does once it has started
    lasting = minutes is not None and "minutes" in inspect.signature(run).parameters
    with progress.status(f"measuring {name}"):
        figures: list[Figure] = run(minutes=minutes) if lasting else run()
    progress.print(f"measured {name}", style="dim")
    return figures


def _print(table: Table) -> None:
    console = Console()
    if not console.is_terminal:
        console.width = 180
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
