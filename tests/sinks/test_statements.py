"""Which statements pass the read-only door."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.statements import Refused, check, tokenize

NAMES = (("file", "url", "numbers", "merge"), ("aigenerate",))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "  -- what is in it\n SELECT count() FROM otel_traces /* all */ WHERE SpanName = 'file(' ;",
        "SELECT 'it''s file(\\'x\\')' AS \"a b\"",
        "SELECT sum(Input), url FROM cost_metrics_rows WHERE a = '\u2018' GROUP BY url",
        "WITH x AS (SELECT 1) SELECT * FROM x",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "SELECT number FROM numbers(3)",
        "SHOW TABLES",
        "DESCRIBE TABLE otel_traces",
        "EXPLAIN SELECT 1",
        "SELECT {x:String}, a - -1, b / c, map['k'], t.1, x -> 1",
    ],
)
def test_questions_about_the_store_pass(sql: str) -> None:
    assert check(sql, *NAMES).sql


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "-- nothing",
        "SELECT 'open",
        "SELECT 1 /* open",
        "SELECT /* a /* b */ */ 1",
        "SELECT aigenerate('x')",
        "SELECT * FROM merge('default', '.*')",
        "SELECT 1 INTO OUTFILE 'x'",
        "SELECT\u00a01",
        "SELECT \x00 1",
        "SELECT x'41'",
        "SELECT 1; SELECT 2",
        "TRUNCATE TABLE policies",
    ],
)
def test_everything_else_is_refused(sql: str) -> None:
    with pytest.raises(Refused):
        check(sql, *NAMES)


def test_the_format_is_given_apart() -> None:
    assert check("SELECT 1 FORMAT JSON;", *NAMES) == ("SELECT 1 ", "JSON")
    assert check("SELECT 'x FORMAT JSON'", *NAMES).format == ""


@given(st.text(max_size=200) | st.text("'\"`/*-\\\n $filex(", max_size=60))
def test_any_text_is_taken_apart_or_refused(sql: str) -> None:
    try:
        tokens = list(tokenize(sql))
    except Refused:
        return
    assert all(one.end <= other.start for one, other in pairwise(tokens))


@given(st.text("abc'\\\"`/*- \n", max_size=20))
def test_a_name_hidden_behind_anything_is_found_or_the_statement_refused(before: str) -> None:
    """What stands before may only hide the call by quoting it, and then it closes what it opened."""
    sql = f"SELECT {before} file('x')"
    try:
        question = check(sql, *NAMES)
    except Refused:
        return
    assert not any(token.text == "file" for token in tokenize(question.sql) if token.kind != "text")
