"""ClickHouse's codes are sorted once, and under the names that ClickHouse has for them."""

from __future__ import annotations

from sinks import error_codes
from sinks.error_codes import CODES, Kind, kind_of
from sinks.store import Store


def test_every_code_has_the_name_that_the_engine_gives_it(store: Store) -> None:
    asked = "SELECT code, errorCodeToName(code) AS name FROM (SELECT arrayJoin({codes:Array(Int32)}) AS code)"
    named = store.query(asked, {"codes": list(CODES)})
    assert {row["code"]: row["name"] for row in named} == {code: name for code, (_, name) in CODES.items()}


def test_no_code_is_sorted_twice() -> None:
    assert len(CODES) == len(error_codes._LATER) + len(error_codes._ASKS) + len(error_codes._NEVER)


def test_what_is_not_listed_and_what_has_no_code_is_tried_again() -> None:
    assert kind_of(None) is kind_of(123_456) is Kind.LATER
    assert (kind_of(241), kind_of(516), kind_of(53)) == (Kind.LATER, Kind.ASKS, Kind.NEVER)
