"""The chaos suite's long form: `python tests/chaos/chaos_report.py --seeds 1-10` prints a line a seed."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path[:0] = [str(Path(__file__).parents[1] / "driving"), str(Path(__file__).parents[2])]

from disturbed_run import disturbed, undisturbed, world  # noqa: E402  # the drivers' folder has to be on the path first
from faults import plan_of, possible  # noqa: E402
from kafka_broker import Broker, open_broker  # noqa: E402
from outcome import Outcome, differences  # noqa: E402
from recorded_requests import requests, span_count  # noqa: E402


def main() -> int:
    """Disturb by every seed; exit status 1 where one comes to something else than the run that was left alone."""
    parser = argparse.ArgumentParser(prog="python tests/chaos/chaos_report.py", description=__doc__)
    parser.add_argument("--seeds", default="1-3", help="one, or a range as in 1-10")
    parser.add_argument("--faults", type=int, default=0, help="how many a seed (default: each once)")
    parser.add_argument("--requests", type=int, default=120)
    parser.add_argument("--away-seconds", type=float, default=60.0, help="how long what is away stays away")
    options = parser.parse_args()
    first, _, last = options.seeds.partition("-")
    table = Table("seed", "faults (after so many requests)", "spans", "detections", "healed", "seconds", "result")
    bodies, bad = requests(int(first), options.requests), 0
    with tempfile.TemporaryDirectory() as folder:
        expected = undisturbed(Path(folder), bodies)
        place = Path(folder) / "kafka"
        place.mkdir()
        broker = open_broker(place)
        try:
            for seed in range(int(first), int(last or first) + 1):
                lines = _one(Path(folder), broker, bodies, seed, options, expected, table)
                bad += bool(lines)
                print("\n".join(lines[:20]), file=sys.stderr)
        finally:
            broker.close()
    console = Console()
    console.print(table)
    console.print(f"{span_count(bodies)} spans in {len(bodies)} requests a seed; {bad} seeds differ")
    return int(bad > 0)


def _one(
    folder: Path,
    broker: Broker,
    bodies: list[bytes],
    seed: int,
    options: argparse.Namespace,
    expected: Outcome,
    table: Table,
) -> list[str]:
    begun, plan = time.monotonic(), plan_of(seed, len(bodies), possible(broker), options.faults)
    with world(folder / f"seed-{seed}", broker, f"chaos-{seed}-{int(time.time())}-", options.away_seconds) as where:
        found = disturbed(where, bodies, seed, plan)
    lines = differences(found, expected)
    happened = ", ".join(f"{fault.what} ({fault.after})" for fault in plan)
    result = "[green]same" if not lines else f"[red]{len(lines)} differences"
    figures = (str(found.rows), str(len(found.detections)), str(sum(found.healed.values())))
    table.add_row(str(seed), happened, *figures, f"{time.monotonic() - begun:.0f}", result)
    return lines


if __name__ == "__main__":
    sys.exit(main())
