"""Fixtures that open doors, for the folders of tests that ask for them in their `conftest.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from open_doors import OpenDoors


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenDoors]:
    """Open doors that a module's tests share."""
    opened = OpenDoors(tmp_path_factory.mktemp("bus"))
    yield opened
    opened.close()


@pytest.fixture
def own_doors(tmp_path: Path) -> Iterator[OpenDoors]:
    """Open doors for one test, whose bus holds nothing of anybody else."""
    opened = OpenDoors(tmp_path)
    yield opened
    opened.close()
