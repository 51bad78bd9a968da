"""Which partition a key belongs to: murmur2, as Java's default partitioner computes it, so that all writers agree."""

from __future__ import annotations

from struct import unpack_from

SEED, M, R = 0x9747B28C, 0x5BD1E995, 24
MASK = 0xFFFFFFFF
POSITIVE = 0x7FFFFFFF


def partition_of(key: str, partitions: int) -> int:
    """Give the partition of a key; 0 for an empty one."""
    if partitions == 1 or not key:
        return 0
    return (murmur2(key.encode()) & POSITIVE) % partitions


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
