"""Partitions are those of Java's default partitioner."""

from __future__ import annotations

import pytest

from collector.bus.murmur2 import murmur2, partition_of

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
