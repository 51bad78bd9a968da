"""Times are written and read back to the nanosecond, whatever the text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.timestamps import rfc3339, unix_ns


@given(st.integers(-62_135_596_800 * 10**9, 253_402_300_799 * 10**9))
def test_a_time_reads_back_to_the_nanosecond(ns: int) -> None:
    assert unix_ns(rfc3339(ns)) == ns


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T01:00:01.000000001999+01:00", 1_000_000_001),
    ],
)
def test_every_form_of_rfc_3339_is_read(text: str, ns: int) -> None:
    assert unix_ns(text) == ns


@given(st.text(max_size=60))
def test_any_text_is_a_time_or_a_value_error(text: str) -> None:
    try:
        assert isinstance(unix_ns(text), int)
    except ValueError:
        return


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-11-20", "2026-11-20T10:00:00", "2026-13-01T00:00:00Z", "2026-11-20T10:00:00+9", "Z" * 1_000],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"time|format|month"):
        unix_ns(text)


@pytest.mark.parametrize("ns", [10**30, -(10**30)])
def test_what_no_calendar_holds_is_written_as_the_epoch(ns: int) -> None:
    assert rfc3339(ns) == "1970-01-01T00:00:00.000000000Z"
