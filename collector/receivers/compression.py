"""Content encodings, decompressed within a bound: a small bomb must not become a large body."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import cramjam
import zstandard

from collector.receivers.intake import Malformed, TooLarge

CHUNK_BYTES = 262_144


def decompress(encoding: str, body: bytes, limit: int) -> bytes:
    """Undo a content encoding; raises TooLarge past `limit` bytes, Malformed for what is no such stream."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    decoder = DECODERS.get(name)
    if decoder is None:
        raise Malformed(f"unsupported Content-Encoding: {encoding[:64]}; supported: {', '.join(sorted(DECODERS))}")
    try:
        return decoder(body, limit)
    except (zlib.error, zstandard.ZstdError, cramjam.DecompressionError, EOFError, OSError, ValueError) as error:
        raise Malformed(f"the body is no {name} stream: {error}") from error


def _zlib(window_bits: int) -> Callable[[bytes, int], bytes]:
    def run(body: bytes, limit: int) -> bytes:
        decoder = zlib.decompressobj(window_bits)
        data = decoder.decompress(body, limit + 1)
        if len(data) > limit:
            raise TooLarge(f"the body is over {limit} bytes once decompressed")
        if not decoder.eof:
            raise EOFError("it ends too early")
        return data

    return run


def _zstd(body: bytes, limit: int) -> bytes:
    reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(body)
    return _bounded(reader.read, limit)


def _snappy(body: bytes, limit: int) -> bytes:
    """Read snappy in its framed form, or as one block, whose size stands in front."""
    if body[:10] == b"\xff\x06\x00\x00sNaPpY":
        return _cramjam(cramjam.snappy.Decompressor(), body, limit)
    if cramjam.snappy.decompress_raw_len(body) > limit:
        raise TooLarge(f"the body is over {limit} bytes once decompressed")
    return bytes(cramjam.snappy.decompress_raw(body))


def _lz4(body: bytes, limit: int) -> bytes:
    return _cramjam(cramjam.lz4.Decompressor(), body, limit)


def _cramjam(decoder: object, body: bytes, limit: int) -> bytes:
    """Feed a stream in slices and look at what has come out after each, so that memory stays bounded."""
    out = bytearray()
    step = max(1_024, min(CHUNK_BYTES, limit // 256))
    for at in range(0, len(body), step):
        decoder.decompress(body[at : at + step])  # type: ignore[attr-defined]  # cramjam's decompressors share no base
        out += bytes(decoder.flush())  # type: ignore[attr-defined]  # as above
        if len(out) > limit:
            raise TooLarge(f"the body is over {limit} bytes once decompressed")
    out += bytes(decoder.finish())  # type: ignore[attr-defined]  # as above
    return bytes(out)


def _bounded(read: Callable[[int], bytes], limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while chunk := read(CHUNK_BYTES):
        size += len(chunk)
        if size > limit:
            raise TooLarge(f"the body is over {limit} bytes once decompressed")
        parts.append(chunk)
    return b"".join(parts)


DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _zlib(16 + zlib.MAX_WBITS),
    "x-gzip": _zlib(16 + zlib.MAX_WBITS),
    "deflate": _zlib(zlib.MAX_WBITS),
    "zlib": _zlib(zlib.MAX_WBITS),
    "zstd": _zstd,
    "snappy": _snappy,
    "x-snappy-framed": _snappy,
    "lz4": _lz4,
}
