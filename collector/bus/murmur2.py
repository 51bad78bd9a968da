"""Which partition a key belongs to: murmur2, as Java's default partitioner computes it, so that all writers agree."""

from __future__ import annotations

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
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * M & MASK
        k = (k ^ (k >> R)) * M & MASK
        h = (h * M & MASK) ^ k
    if length > whole:
        h = (h ^ int.from_bytes(data[whole:], "little")) * M & MASK
    h = (h ^ (h >> 13)) * M & MASK
    return h ^ (h >> 15)
