"""The protobuf wire format, walked by position: where the fields of a message begin and end, without copying them."""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, LENGTH, GROUP, END_GROUP, FIXED32 = range(6)
LONGEST_VARINT = 10


class WireError(ValueError):
    """The bytes are no protobuf message."""


def fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Walk the fields between two positions: (tag, start, start of the value, end); raises WireError.

    A tag is `number << 3 | wire type`. Unknown fields of any wire type are walked over as what they are.
    """
    try:
        while at < end:
            start = at
            tag = data[at]
            at += 1
            if tag >= 0x80:
                tag, at = varint(data, start)
            if tag & 7 == LENGTH:
                length = data[at]
                at += 1
                if length >= 0x80:
                    length, at = varint(data, at - 1)
                value, at = at, at + length
            else:
                value, at = at, _skip(data, at, tag)
            if at > end:
                raise WireError("a field reaches past the end of its message")
            yield tag, start, value, at
    except IndexError as error:
        raise WireError("it ends within a field") from error


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a varint: its value and where it ends; raises WireError or IndexError."""
    value = shift = 0
    while shift < 7 * LONGEST_VARINT:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise WireError("a number is longer than 64 bits")


def encoded(value: int) -> bytes:
    """Write a varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, value: bytes) -> bytes:
    """Write a length-delimited field."""
    return encoded(number << 3 | LENGTH) + encoded(len(value)) + value


def _skip(data: bytes, at: int, tag: int) -> int:
    """Step over a value that is not length-delimited; groups, long out of use, may hold groups."""
    depth = 0
    while True:
        match tag & 7:
            case 0:
                _, at = varint(data, at)
            case 1:
                at += 8
            case 2:
                length, at = varint(data, at)
                at += length
            case 3:
                depth += 1
            case 4:
                depth -= 1
            case 5:
                at += 4
            case _:
                raise WireError("there is no such wire type")
        if depth <= 0:
            return at
        tag, at = varint(data, at)
