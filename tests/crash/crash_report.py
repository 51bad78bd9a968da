"""The crash harness's long form: `python tests/crash/crash_report.py --seeds 1-20` prints a line a seed."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path[:0] = [str(Path(__file__).parents[1] / "driving"), str(Path(__file__).parents[2])]

from harness import disturbed, plan_of, undisturbed  # noqa: E402
from outcome import Outcome, differences, outcome_of  # noqa: E402
from recorded_requests import requests, span_count  # noqa: E402  # the drivers' folder has to be on the path first


def main() -> int:
    """Kill by every seed; exit status 1 where one comes to something else than the run that was left alone."""
    parser = argparse.ArgumentParser(prog="python tests/crash/crash_report.py", description=__doc__)
    parser.add_argument("--seeds", default="1-5", help="one, or a range as in 1-20")
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--requests", type=int, default=120)
    parser.add_argument("--processes", type=int, default=3, help="that the pipeline is made of")
    options = parser.parse_args()
    first, _, last = options.seeds.partition("-")
    table = Table("seed", "killed (after so many requests)", "sent again", "spans", "detections", "seconds", "result")
    bad = 0
    bodies = requests(int(first), options.requests)
    with tempfile.TemporaryDirectory() as folder:
        quiet = undisturbed(Path(folder), bodies)
        expected = outcome_of(quiet)
        quiet.stop()
        for seed in range(int(first), int(last or first) + 1):
            lines = _one(Path(folder), bodies, seed, options, expected, table)
            bad += bool(lines)
            print("\n".join(lines[:20]), file=sys.stderr)
    console = Console()
    console.print(table)
    console.print(f"{span_count(bodies)} spans in {len(bodies)} requests a seed; {bad} seeds differ")
    return int(bad > 0)


def _one(
    folder: Path, bodies: list[bytes], seed: int, options: argparse.Namespace, expected: Outcome, table: Table
) -> list[str]:
    begun = time.monotonic()
    plan = plan_of(seed, options.kills, len(bodies))
    done = disturbed(folder, bodies, seed, plan, options.processes)
    found = outcome_of(done.pipeline)
    done.pipeline.stop()
    lines = differences(found, expected)
    killed = ", ".join(f"{kill.what} ({kill.after})" for kill in plan)
    result = "[green]same" if not lines else f"[red]{len(lines)} differences"
    figures = (str(done.repeated), str(found.rows), str(len(found.detections)), f"{time.monotonic() - begun:.0f}")
    table.add_row(str(seed), killed, *figures, result)
    return lines


if __name__ == "__main__":
    sys.exit(main())
