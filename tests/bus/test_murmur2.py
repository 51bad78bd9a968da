"""Partitions are those of Java's default partitioner."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.bus.murmur2 import MOST_TOGETHER, murmur2, partition_of, partitions_of

VECTORS = [
    (b"21", -973932308),
    (b"foobar", -790332482),
    (b"a-little-bit-long-string", -985981536),
    (b"a-little-bit-longer-string", -1486304829),
    (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    (b"abc", 479470107),
]
"""From Apache Kafka's own UtilsTest."""


@pytest.mark.parametrize(("data", "signed"), VECTORS)
def test_hashes_are_those_of_kafka(data: bytes, signed: int) -> None:
    assert murmur2(data) == signed & 0xFFFFFFFF


def test_a_partition_is_the_positive_hash_modulo_their_number_and_zero_without_a_key() -> None:
    assert partition_of("foobar", 12) == (-790332482 & 0x7FFFFFFF) % 12
    assert partition_of("", 12) == 0


@given(
    st.lists(st.one_of(st.binary(min_size=16, max_size=16).map(bytes.hex), st.text(max_size=40))), st.integers(1, 50)
)
def test_many_keys_get_the_partitions_that_each_gets_by_itself(keys: list[str], partitions: int) -> None:
    assert partitions_of(keys, partitions) == [partition_of(key, partitions) for key in keys]


def test_so_do_more_trace_ids_than_are_hashed_together() -> None:
    keys = [f"{number * 0x9E3779B97F4A7C15:032x}" for number in range(2 * MOST_TOGETHER + 7)]
    assert partitions_of(keys, 12) == [partition_of(key, 12) for key in keys]
