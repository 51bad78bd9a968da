"""Which partition a key belongs to: murmur2, as Java's default partitioner computes it, so that all writers agree."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from struct import iter_unpack, unpack_from

SEED, M, R = 0x9747B28C, 0x5BD1E995, 24
MASK = 0xFFFFFFFF
POSITIVE = 0x7FFFFFFF
TRACE_KEY = 32
"""Characters of a trace id in hex."""
MOST_TOGETHER = 512


def partition_of(key: str, partitions: int) -> int:
    """Give the partition of a key; 0 for an empty one."""
    if partitions == 1 or not key:
        return 0
    return (murmur2(key.encode()) & POSITIVE) % partitions


def partitions_of(keys: Sequence[str], partitions: int) -> list[int]:
    """Give the partition of each key; trace ids take a fifth of their time where there are many."""
    joined = "".join(keys)
    if (
        partitions == 1
        or len(joined) != TRACE_KEY * len(keys)
        or not joined.isascii()
        or set(map(len, keys)) != {TRACE_KEY}
    ):
        return [partition_of(key, partitions) for key in keys]
    data, step = joined.encode(), TRACE_KEY * MOST_TOGETHER
    hashes = (found for at in range(0, len(data), step) for found in _murmur2_of_trace_keys(data[at : at + step]))
    return [(found & POSITIVE) % partitions for found in hashes]


def _murmur2_of_trace_keys(data: bytes) -> list[int]:
    """Hash many keys of 32 bytes at once, as lanes of one large number.

    A product of two 32-bit words needs 64 bits. So the words are mixed in two halves, every other one with zeros
    between; then each is folded into its key's hash, which stands in the lowest word of the key's 256 bits.
    """
    every_other, lowest, h = _lanes(len(data) // TRACE_KEY)
    words = int.from_bytes(data, "little")
    halves = [_mixed(words & every_other, every_other), _mixed(words >> 32 & every_other, every_other)]
    for word in range(TRACE_KEY // 4):
        h = (h * M & lowest) ^ (halves[word & 1] >> 64 * (word >> 1) & lowest)
    h = (h ^ (h >> 13 & lowest)) * M & lowest
    h ^= h >> 15 & lowest
    return [found for (found,) in iter_unpack("<I28x", h.to_bytes(len(data), "little"))]


def _mixed(words: int, every_other: int) -> int:
    k = words * M & every_other
    return (k ^ (k >> R & every_other)) * M & every_other


@lru_cache(64)
def _lanes(keys: int) -> tuple[int, int, int]:
    """Make masks for every other word and for the lowest of each key, and the hashes to begin with."""
    word = MASK.to_bytes(4, "little")
    every_other = (word + bytes(4)) * (TRACE_KEY // 8 * keys)
    lowest = (word + bytes(TRACE_KEY - 4)) * keys
    begin = (SEED ^ TRACE_KEY).to_bytes(TRACE_KEY, "little") * keys
    return int.from_bytes(every_other, "little"), int.from_bytes(lowest, "little"), int.from_bytes(begin, "little")


def murmur2(data: bytes) -> int:
    """Hash bytes to 32 bits, unsigned (Kafka's `Utils.murmur2`)."""
    length = len(data)
    h = (SEED ^ length) & MASK
    whole = length & ~3
    for word in unpack_from(f"<{length >> 2}I", data):
        k = word * M & MASK
        h = (h * M ^ (k ^ k >> R) * M) & MASK
    if length > whole:
        h = (h ^ int.from_bytes(data[whole:], "little")) * M & MASK
    h = (h ^ (h >> 13)) * M & MASK
    return h ^ (h >> 15)
