"""Doors for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from door_fixtures import doors, own_doors
from open_doors import OpenDoors

__all__ = ["doors", "own_doors", "roomy_doors"]


@pytest.fixture
def roomy_doors(tmp_path: Path) -> Iterator[OpenDoors]:
    opened = OpenDoors(tmp_path, body_limit=1 << 26)
    yield opened
    opened.close()
