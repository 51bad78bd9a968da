"""Content encodings, decompressed within a bound: a small bomb must not become a large body."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import cramjam
import zstandard

from collector.receivers.intake import Malformed, TooLarge, Unsupported

ZSTD_SLICE_BYTES = 1_024
"""A slice of this size becomes 32 MiB at the very most (blocks of 4 bytes stand for 128 KiB each)."""
ZSTD_WINDOW_BYTES = 1 << 27
LZ4_RATIO, SNAPPY_RATIO = 255, 32
"""What these formats can achieve at most, rounded up."""
USUAL_RATIO = 8
SMALLEST_BUFFER_BYTES = 65_536
MOST_STREAMS = 64
"""How many streams may follow one another in a body; each costs more than its bytes."""
SNAPPY_FRAMES = b"\xff\x06\x00\x00sNaPpY"
ENCODING_HEADER = "Content-Encoding"
BUFFER_IS_FULL = "failed to write whole buffer"

Decoder = Callable[[bytes, int], bytes]


def decompress(encoding: str, body: bytes, limit: int) -> bytes:
    """Undo a content encoding; raises TooLarge past `limit` bytes, Malformed for what is no such stream."""
    name = encoding.strip().lower()
    if name in ("", "identity") or not body:
        return body
    decoder = DECODERS.get(name)
    if decoder is None:
        supported = ", ".join(sorted(DECODERS))
        raise Unsupported(f"unsupported Content-Encoding: {encoding[:64]}; supported: {supported}", at=ENCODING_HEADER)
    try:
        return decoder(body, limit)
    except (zlib.error, zstandard.ZstdError, cramjam.DecompressionError, EOFError, OSError, ValueError) as error:
        raise Malformed(f"the body is no {name} stream: {error}") from error


def expected_bytes(encoding: str, body: bytes, limit: int) -> int:
    """Estimate what a body becomes, from what it says itself where its format has a place for that; `limit` at most.

    It may say anything: decompress within the estimate first.
    """
    name = encoding.strip().lower()
    said = len(body) if name in ("", "identity") else USUAL_RATIO * len(body) + SMALLEST_BUFFER_BYTES
    if name in ("gzip", "x-gzip"):
        said = int.from_bytes(body[-4:], "little")
    elif name == "zstd":
        with suppress(zstandard.ZstdError):
            told = zstandard.frame_content_size(body)
            said = told if told >= 0 else said
    return min(said, limit)


def _zlib(window_bits: int) -> Decoder:
    def run(body: bytes, limit: int) -> bytes:
        parts: list[bytes] = []
        left = limit
        for _ in range(MOST_STREAMS):
            decoder = zlib.decompressobj(window_bits)
            parts.append(decoder.decompress(body, left + 1))
            left = _left(left - len(parts[-1]), limit)
            if not decoder.eof:
                raise EOFError("it ends too early")
            body = decoder.unused_data
            if not body:
                return b"".join(parts)
        raise ValueError(f"more than {MOST_STREAMS} streams")

    return run


def _zstd(body: bytes, limit: int) -> bytes:
    parts: list[bytes] = []
    left, at = limit, 0
    for _ in range(MOST_STREAMS):
        decoder = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES).decompressobj()
        while not decoder.eof:
            piece = body[at : at + ZSTD_SLICE_BYTES]
            if not piece:
                raise EOFError("it ends too early")
            parts.append(decoder.decompress(piece))
            left = _left(left - len(parts[-1]), limit)
            at += len(piece) - len(decoder.unused_data)
        if at >= len(body):
            return b"".join(parts)
    raise ValueError(f"more than {MOST_STREAMS} frames")


def _snappy(body: bytes, limit: int) -> bytes:
    """Read snappy in its framed form, or as one block, whose size stands in front."""
    if body.startswith(SNAPPY_FRAMES):
        return _into_buffer(cramjam.snappy, SNAPPY_RATIO, body, limit)
    if cramjam.snappy.decompress_raw_len(body) > limit:
        raise _too_large(limit)
    return bytes(cramjam.snappy.decompress_raw(body))


def _lz4(body: bytes, limit: int) -> bytes:
    return _into_buffer(cramjam.lz4, LZ4_RATIO, body, limit)


def _into_buffer(codec: Any, ratio: int, body: bytes, limit: int) -> bytes:
    """Decompress into a buffer of the usual size, then into one that holds all the body can become or is allowed."""
    for times in (USUAL_RATIO, ratio):
        buffer = bytearray(min(limit, times * len(body) + SMALLEST_BUFFER_BYTES))
        try:
            size: int = codec.decompress_into(body, buffer)
        except cramjam.DecompressionError as error:
            if BUFFER_IS_FULL not in str(error):
                raise
        else:
            return bytes(memoryview(buffer)[:size])
    raise _too_large(limit)


def _left(left: int, limit: int) -> int:
    if left < 0:
        raise _too_large(limit)
    return left


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is over {limit} bytes once decompressed")


DECODERS: dict[str, Decoder] = {
    "gzip": _zlib(16 + zlib.MAX_WBITS),
    "x-gzip": _zlib(16 + zlib.MAX_WBITS),
    "deflate": _zlib(zlib.MAX_WBITS),
    "zlib": _zlib(zlib.MAX_WBITS),
    "zstd": _zstd,
    "snappy": _snappy,
    "x-snappy-framed": _snappy,
    "lz4": _lz4,
}
