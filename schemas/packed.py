"""Values of state, packed where that pays: how is the first byte, so that readers need not know."""

from __future__ import annotations

from cramjam import lz4

PACK_FROM_BYTES = 512
"""Shorter values are left as they are; a block of lz4 costs more than it saves there."""
PLAIN, LZ4 = b"\0", b"\1"


def packed(value: bytes) -> bytes:
    """Pack a value."""
    return LZ4 + bytes(lz4.compress_block(value)) if len(value) >= PACK_FROM_BYTES else PLAIN + value


def unpacked(value: bytes) -> bytes:
    """Give a packed value back; raises ValueError or cramjam's DecompressionError for what is none."""
    if value[:1] == LZ4:
        return bytes(lz4.decompress_block(value[1:]))
    if value[:1] != PLAIN:
        raise ValueError(f"a value of state that begins with {value[:1]!r} is not packed as this version packs")
    return value[1:]
