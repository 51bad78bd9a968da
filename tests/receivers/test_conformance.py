"""Every row of the conformance table; `python -m tests.receivers.conformance_report` prints it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conformance_row import Doors, Row
from conformance_table import ROWS


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    opened = Doors(tmp_path_factory.mktemp("doors"))
    yield opened
    opened.close()


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.door}: {row.name}" for row in ROWS])
def test_the_door_conforms(doors: Doors, row: Row) -> None:
    assert row.differences(doors.given(row.given)) == {}


def test_no_row_stands_twice_and_each_expects_something() -> None:
    names = [(row.door, row.name) for row in ROWS]
    assert len(set(names)) == len(names)
    assert all(row.expected for row in ROWS)
