"""Packed values come back as they were, and what is none is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.packed import PACK_FROM_BYTES, packed, unpacked


@given(st.binary(max_size=2_000), st.integers(1, 4))
def test_a_value_comes_back_as_it_was(value: bytes, times: int) -> None:
    assert unpacked(packed(value * times)) == value * times


def test_what_repeats_takes_little() -> None:
    assert len(packed(b"the same again " * 200)) < 100
    assert len(packed(b"a" * (PACK_FROM_BYTES - 1))) == PACK_FROM_BYTES


@pytest.mark.parametrize("value", [b"", b"\x07abc"])
def test_what_is_not_packed_is_told(value: bytes) -> None:
    with pytest.raises(ValueError, match="not packed"):
        unpacked(value)
