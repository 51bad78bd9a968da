"""What travels between a stage and the full model: frames of msgpack, their length in front."""

from __future__ import annotations

from typing import Any, BinaryIO

import msgspec

LENGTH_BYTES = 4
LARGEST_FRAME = 64 * 1024 * 1024

_encode = msgspec.msgpack.Encoder().encode


def write_frame(stream: BinaryIO, message: Any) -> None:
    """Write one message, at once."""
    body = _encode(message)
    stream.write(len(body).to_bytes(LENGTH_BYTES, "big") + body)
    stream.flush()


def read_frame(stream: BinaryIO) -> bytes:
    """Read one message, still packed; raises EOFError where the stream ends, ValueError where it is no frame."""
    size = int.from_bytes(_exactly(stream, LENGTH_BYTES), "big")
    if size > LARGEST_FRAME:
        raise ValueError(f"a frame of {size} bytes, at most {LARGEST_FRAME} are taken")
    return _exactly(stream, size)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("the stream has ended")
    return data
