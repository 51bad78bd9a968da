"""How commands print: tables for people, JSON for programs, nothing in a terminal that a span could have put there."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

TABLE, JSON, JSONL = "table", "json", "jsonl"
FORMATS = (TABLE, JSON, JSONL)

LAST_WIDTH = 24
PIPE_WIDTH = 200
"""Characters a line may have where nobody's terminal bounds it."""

Cell = str | tuple[str, str]
"""A text, or a text and its style."""


class WrongUsage(ValueError):  # noqa: N818  # named by what the reader should know
    """A command that cannot be carried out as it was given; says what to change."""


def check_format(name: str, formats: Sequence[str] = FORMATS) -> str:
    """Refuse a format there is none of."""
    if name not in formats:
        raise WrongUsage(f"there is no format {name!r}: use {', '.join(formats)}")
    return name


def print_rows(format_: str, documents: Iterable[dict[str, Any]], table: Table) -> None:
    """Print documents for programs, or the table for people."""
    if format_ == TABLE:
        _console().print(table)
    else:
        print_documents(format_, documents)


def line_width() -> int:
    """Say how many characters a line of a table may have."""
    return _console().width


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)


def print_documents(format_: str, documents: Iterable[dict[str, Any]]) -> None:
    """Print documents for programs: one JSON document, or one object a line."""
    if format_ == JSON:
        _write(orjson.dumps(list(documents), default=_plain, option=orjson.OPT_INDENT_2))
    else:
        for document in documents:
            _write(orjson.dumps(document, default=_plain))


def make_table(*titles: str) -> Table:
    """Make a table without lines; the last column takes the room that is left."""
    table = Table(box=None, pad_edge=False)
    for title in titles:
        last = title == titles[-1]
        table.add_column(
            title, overflow="fold" if last else "ellipsis", no_wrap=not last, min_width=LAST_WIDTH if last else None
        )
    return table


def add_row(table: Table, *cells: Cell) -> None:
    """Add a row of texts that come from spans: no markup, no control characters."""
    table.add_row(
        *(Text(printable(cell)) if isinstance(cell, str) else Text(printable(cell[0]), cell[1]) for cell in cells)
    )


def printable(text: str) -> str:
    """Take out what could drive a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data + b"\n")
    sys.stdout.buffer.flush()
