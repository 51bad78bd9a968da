"""A second look with the packaged table in the place of the full model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from looking_glass import LookingGlass, Open, TableEncoder

from processors.looking.encodings import Encoder


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Open second looks that are closed in the end."""
    all_of_them: list[LookingGlass] = []

    def make(encoder: Encoder | None, memory_bytes: int = 32 << 20) -> LookingGlass:
        all_of_them.append(LookingGlass(tmp_path / str(len(all_of_them)), encoder, memory_bytes))
        return all_of_them[-1]

    yield make
    for one in all_of_them:
        one.close()


@pytest.fixture
def table() -> TableEncoder:
    return TableEncoder()


@pytest.fixture
def glass(opened: Open, table: TableEncoder) -> LookingGlass:
    return opened(table)
