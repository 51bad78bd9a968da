"""Tries every row of the conformance table and prints it: behaviour, clause, what was expected, result.

`python -m tests.receivers.conformance_report [--format text|markdown|json]`; exits with 1 where a row does not conform.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
COLUMNS = ("door", "behaviour", "clause", "expected", "result")
PASSED = "conforms"


def main() -> int:
    """Try every row, print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.receivers.conformance_report", description=__doc__)
    parser.add_argument("--format", choices=sorted(WRITERS), default="text", dest="format_")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # hostile rows make grpc and asyncio complain, which is no part of the report
    lines = tried()
    sys.stdout.write(WRITERS[options.format_](lines) + "\n")
    failed = sum(line["result"] != PASSED for line in lines)
    sys.stderr.write(f"{len(lines) - failed} of {len(lines)} rows conform\n")
    return 1 if failed else 0


def tried() -> list[dict[str, str]]:
    """Try every row."""
    sys.path[:0] = [str(HERE), str(HERE.parent / "driving")]
    from conformance_row import Doors
    from conformance_table import ROWS

    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        doors = Doors(Path(folder))
        try:
            return [_line(row, doors) for row in ROWS]
        finally:
            doors.close()


def _line(row: Any, doors: Any) -> dict[str, str]:
    try:
        wrong = row.differences(doors.given(row.given))
    except Exception as error:  # noqa: BLE001  # a row that cannot be tried is a result, and the others go on
        result = f"failed: {type(error).__name__}: {error}"
    else:
        result = "; ".join(f"{key}: {seen!r}, not {wanted!r}" for key, (wanted, seen) in wrong.items()) or PASSED
    expected = ", ".join(f"{key}: {value!r}" for key, value in row.expected.items())
    return dict(zip(COLUMNS, (row.door, row.name, row.clause, expected, result), strict=True))


def as_text(lines: list[dict[str, str]]) -> str:
    """Write columns of one width."""
    rows = [dict(zip(COLUMNS, COLUMNS, strict=True)), *lines]
    shown = [column for column in COLUMNS if column != "expected"]
    widths = {column: max(len(row[column]) for row in rows) for column in shown}
    return "\n".join("  ".join(row[column].ljust(widths[column]) for column in shown).rstrip() for row in rows)


def as_markdown(lines: list[dict[str, str]]) -> str:
    """Write a table of Markdown."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(tuple(line.values()) for line in lines)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def as_json(lines: list[dict[str, str]]) -> str:
    """Write one document."""
    return json.dumps(lines, indent=2)


WRITERS = {"text": as_text, "markdown": as_markdown, "json": as_json}

if __name__ == "__main__":
    sys.exit(main())
