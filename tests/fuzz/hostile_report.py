"""Prints what an honest client notices of each attack; usage: python tests/fuzz/hostile_report.py [ATTACK ...]."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline_process import PipelineProcess

SECONDS = 8.0
COLUMNS = ("attack", "p50 before", "p50 during", "p99 before", "p99 during", "refused", "memory", "lost or wrong")


def main() -> None:
    """Carry out the attacks that are named, or all of them."""
    sys.path[:0] = [str(Path(__file__).parents[1] / "driving"), str(Path(__file__).parents[2])]
    from hostile_clients import ATTACKS
    from rich.console import Console
    from rich.table import Table
    from under_attack import begun

    table = Table(*COLUMNS, title="an honest client's requests: ms to the acknowledgement", box=None)
    with tempfile.TemporaryDirectory() as folder:
        pipeline = begun(Path(folder) / "data")
        try:
            for attack in sys.argv[1:] or ATTACKS:
                table.add_row(attack, *row(pipeline, attack))
        finally:
            pipeline.kill_if_running()
    Console(width=120).print(table)


def row(pipeline: PipelineProcess, attack: str) -> list[str]:
    """Carry out one attack."""
    from hostile_clients import MIB
    from under_attack import milliseconds, missing_or_wrong, under_attack

    noted = under_attack(pipeline, attack, SECONDS)
    wrong = missing_or_wrong(pipeline, noted.acknowledged)
    figures = [milliseconds(of, share) for share in (0.5, 0.99) for of in (noted.before, noted.during)]
    memory = f"+{noted.growth / MIB:.0f} MiB"
    lost = f"{len(wrong)} of {len(noted.acknowledged)}"
    return [*(f"{figure:.1f}" for figure in figures), str(noted.refusals), memory, lost]


if __name__ == "__main__":
    main()
