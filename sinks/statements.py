"""Which statements may pass the read-only door: one question, and no function that reaches outside the store.

A chDB engine reads and writes the files of its host, so `readonly` alone is not enough to rely on.
Statements are taken apart into tokens first, so that neither comments nor quotes hide or fake a name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

LONGEST = 262_144
QUESTIONS = frozenset({"select", "with", "show", "describe", "desc", "explain", "exists"})
HARMLESS_TABLE_FUNCTIONS = frozenset(
    {
        "numbers",
        "numbers_mt",
        "zeros",
        "zeros_mt",
        "values",
        "view",
        "null",
        "generateseries",
        "generate_series",
        "format",
    }
)
OUTSIDE_FUNCTIONS = frozenset(
    [
        "file",
        "url",
        "s3",
        "python",
        "executable",
        "remote",
        "remotesecure",
        "mysql",
        "postgresql",
        "sqlite",
        "mongodb",
        "hdfs",
        "jdbc",
        "odbc",
        "redis",
        "gcs",
        "azureblobstorage",
        "iceberg",
        "deltalake",
        "hudi",
        "input",
        "cluster",
        "catboostevaluate",
        "paimon",
        "ytsaurus",
        "arrowflight",
        "filecluster",
        "urlcluster",
        "s3cluster",
    ]
)
"""Functions that reach outside, known also where the engine does not list them."""


class Refused(ValueError):  # noqa: N818  # it is an answer
    """A statement that may not pass; says why."""


class Question(NamedTuple):
    """A statement that may pass, without its FORMAT, which is given apart (empty: none)."""

    sql: str
    format: str


class Token(NamedTuple):
    """A name, a quoted name, a text or a sign, and where it begins and ends."""

    kind: str
    text: str
    start: int
    end: int


def check(sql: str, table_functions: Collection[str]) -> Question:
    """Check a statement; raises Refused. `table_functions` are the engine's own, in lower case."""
    if len(sql) > LONGEST:
        raise Refused(f"a statement may have {LONGEST} characters at most")
    tokens = [token for token in tokenize(sql) if token.kind != "comment"]
    while tokens and tokens[-1].text == ";":
        tokens.pop()
    first = next((token for token in tokens if token.text != "("), None)
    if first is None or first.kind != "name" or first.text.lower() not in QUESTIONS:
        raise Refused("only questions are answered here: SELECT, WITH, SHOW, DESCRIBE, EXPLAIN, EXISTS")
    if any(token.text == ";" for token in tokens):
        raise Refused("one statement at a time")
    _refuse_outside(tokens, table_functions)
    return _without_format(sql, tokens)


def _refuse_outside(tokens: list[Token], table_functions: Collection[str]) -> None:
    denied = (OUTSIDE_FUNCTIONS | set(table_functions)) - HARMLESS_TABLE_FUNCTIONS
    for token, following in zip(tokens, [*tokens[1:], Token("end", "", 0, 0)], strict=True):
        name = token.text.lower()
        if token.kind in ("name", "quoted") and following.text == "(" and name in denied:
            raise Refused(f"{token.text[:64]} reaches outside the store and is refused here")
        if token.kind == "name" and name == "into" and following.text.lower() == "outfile":
            raise Refused("INTO OUTFILE is refused here")


def _without_format(sql: str, tokens: list[Token]) -> Question:
    if len(tokens) >= 3 and tokens[-2].text.lower() == "format" and tokens[-1].kind == "name":
        return Question(sql[: tokens[-2].start], tokens[-1].text)
    return Question(sql[: tokens[-1].end], "")


def tokenize(sql: str) -> Iterator[Token]:
    """Take a statement apart; linear in its length."""
    at, end = 0, len(sql)
    while at < end:
        char = sql[at]
        if char.isspace():
            at += 1
            continue
        kind, stop = _token_at(sql, at, char)
        yield Token(kind, _text(kind, sql[at:stop]), at, stop)
        at = stop


def _token_at(sql: str, at: int, char: str) -> tuple[str, int]:
    if sql.startswith("--", at) or (char == "#" and sql[at + 1 : at + 2] in (" ", "!")):
        return "comment", _until(sql, "\n", at)
    if sql.startswith("/*", at):
        return "comment", _until(sql, "*/", at + 2)
    if char in "'\"`":
        return ("text" if char == "'" else "quoted"), _closing(sql, at, char)
    if char.isalnum() or char in "_$" or not char.isascii():
        return "name", _name_end(sql, at)
    return "sign", at + 1


def _text(kind: str, raw: str) -> str:
    return raw[1:-1].replace("\\", "") if kind == "quoted" else raw


def _until(sql: str, mark: str, at: int) -> int:
    found = sql.find(mark, at)
    return len(sql) if found < 0 else found + len(mark)


def _closing(sql: str, at: int, quote: str) -> int:
    place = at + 1
    while place < len(sql):
        if sql[place] == "\\":
            place += 2
            continue
        if sql[place] == quote:
            if sql[place + 1 : place + 2] != quote:
                return place + 1
            place += 1
        place += 1
    raise Refused("a quote is not closed")


def _name_end(sql: str, at: int) -> int:
    while at < len(sql) and (sql[at].isalnum() or sql[at] in "_$" or not sql[at].isascii()):
        at += 1
    return at
