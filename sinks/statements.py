"""Which statements may pass the read-only door: one question, and no function that reaches outside the store.

A chDB engine reads and writes the files of its host, also when it is `readonly` (`file('...')` as a plain function,
`DESCRIBE file(...)`, `INTO OUTFILE`), so statements are taken apart into tokens and looked at first.
The engine knows more ways to quote and to comment than anybody remembers (nested comments, `//`, heredocs, curly
quotes, escapes in names): whatever could make the two readings differ is refused, so that what is left reads the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
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
OUTSIDE_TABLE_FUNCTIONS = frozenset(
    {
        "file", "url", "s3", "python", "executable", "remote", "remotesecure", "mysql", "postgresql", "sqlite",
        "mongodb", "hdfs", "jdbc", "odbc", "redis", "gcs", "azureblobstorage", "iceberg", "deltalake", "hudi", "input",
        "cluster", "clusterallreplicas", "paimon", "ytsaurus", "arrowflight", "filecluster", "urlcluster", "s3cluster",
    }
)  # fmt: skip
"""Refused where they are called, also where the engine does not list them. Columns may have such names."""
OUTSIDE_FUNCTIONS = frozenset({"file", "catboostevaluate", "logtrace", "sleep", "sleepeachrow"})
"""Refused wherever they are named, since `APPLY(file)` and `arrayMap(file, ...)` call without parentheses."""
QUOTES = "'\"`"


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


def check(sql: str, table_functions: Collection[str], reaching_functions: Collection[str] = ()) -> Question:
    """Check a statement; raises Refused.

    `table_functions` are the engine's own, and `reaching_functions` those plain ones that reach outside; in lower case.
    """
    if len(sql) > LONGEST:
        raise Refused(f"a statement may have {LONGEST} characters at most")
    tokens = list(tokenize(sql))
    while tokens and tokens[-1].text == ";":
        tokens.pop()
    first = next((token for token in tokens if token.text != "("), None)
    if first is None or first.kind != "name" or first.text.lower() not in QUESTIONS:
        raise Refused("only questions are answered here: SELECT, WITH, SHOW, DESCRIBE, EXPLAIN, EXISTS")
    called = (OUTSIDE_TABLE_FUNCTIONS | set(table_functions)) - HARMLESS_TABLE_FUNCTIONS
    named = OUTSIDE_FUNCTIONS | set(reaching_functions)
    for token, following in zip(tokens, [*tokens[1:], Token("end", "", 0, 0)], strict=True):
        _check_token(token, following, called, named)
    return _without_format(sql, tokens)


def _check_token(token: Token, following: Token, called: Collection[str], named: Collection[str]) -> None:
    name = token.text.lower()
    if token.kind == "sign":
        if name == ";":
            raise Refused("one statement at a time")
        return
    if token.kind == "text":
        return
    if token.kind == "name" and (name == "into" or (name == "parallel" and following.text.lower() == "with")):
        raise Refused(f"{token.text.upper()} is refused here")
    if name in named or (following.text == "(" and name in called):
        raise Refused(f"{token.text[:64]} reaches outside the store and is refused here")


def _without_format(sql: str, tokens: Sequence[Token]) -> Question:
    if len(tokens) >= 3 and tokens[-2].text.lower() == "format" and tokens[-1].kind == "name":
        return Question(sql[: tokens[-2].start], tokens[-1].text)
    return Question(sql[: tokens[-1].end], "")


def tokenize(sql: str) -> Iterator[Token]:
    """Take a statement apart, without its comments; linear in its length. Raises Refused for what is ambiguous."""
    at = 0
    while at < len(sql):
        char = sql[at]
        if char in " \t\r\n":
            at += 1
        elif sql.startswith(("--", "/*"), at):
            at = _comment_end(sql, at)
        else:
            kind, end = _token_at(sql, at, char)
            yield Token(kind, sql[at + 1 : end - 1] if kind == "quoted" else sql[at:end], at, end)
            at = end


def _token_at(sql: str, at: int, char: str) -> tuple[str, int]:
    if char in QUOTES:
        return ("text" if char == "'" else "quoted"), _quote_end(sql, at, char)
    if not " " < char < "\x7f" or char in "$#\\" or sql.startswith("//", at):
        raise Refused(f"{char!r} may stand only inside quotes here, and comments are written -- or /* */")
    if _in_name(char):
        return "name", _name_end(sql, at)
    return "sign", at + 1


def _comment_end(sql: str, at: int) -> int:
    if sql.startswith("--", at):
        end = sql.find("\n", at)
        return len(sql) if end < 0 else end + 1
    end = sql.find("*/", at + 2)
    if end < 0 or sql.find("/*", at + 2, end + 1) >= 0:
        raise Refused("a comment is not closed, or nested")
    return end + 2


def _quote_end(sql: str, at: int, quote: str) -> int:
    place = at + 1
    while place < len(sql):
        if sql[place] == "\\":
            if quote != "'":
                raise Refused("a quoted name may not contain a backslash")
            place += 2
            continue
        if sql[place] == quote:
            if sql[place + 1 : place + 2] != quote:
                return place + 1
            place += 1
        place += 1
    raise Refused("a quote is not closed")


def _name_end(sql: str, at: int) -> int:
    while at < len(sql) and _in_name(sql[at]):
        at += 1
    if sql[at : at + 1] and sql[at] in QUOTES:
        raise Refused("a quote may not follow a name without a space")
    return at


def _in_name(char: str) -> bool:
    return char == "_" or (char.isascii() and char.isalnum())
