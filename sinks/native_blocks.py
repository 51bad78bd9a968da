"""Native blocks for clients that name their protocol version, as Go's driver and so Grafana's plugin do.

chDB writes blocks as for version 0. Later versions put block info before each block and a byte behind each column's
type, so the columns' ends have to be found: by walking over their values without reading them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

BLOCK_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"
"""No overflow, bucket -1, the end."""
WITH_CUSTOM_SERIALIZATION = 54_454
NOT_CUSTOM = b"\x00"
DEEPEST_TYPE = 32
SIZES = {
    "Nothing": 1, "Bool": 1, "Int8": 1, "UInt8": 1, "Enum8": 1, "Int16": 2, "UInt16": 2, "Enum16": 2, "Date": 2,
    "BFloat16": 2, "Int32": 4, "UInt32": 4, "Float32": 4, "Date32": 4, "DateTime": 4, "IPv4": 4, "Time": 4,
    "Int64": 8, "UInt64": 8, "Float64": 8, "DateTime64": 8, "Time64": 8, "Int128": 16, "UInt128": 16, "UUID": 16,
    "IPv6": 16, "Int256": 32, "UInt256": 32,
}  # fmt: skip
"""Bytes of a value, by the type's name."""
DECIMALS = ((9, 4), (18, 8), (38, 16), (76, 32))
"""Digits up to which a decimal takes so many bytes."""
KEY_WIDTHS = (1, 2, 4, 8)


class UnknownType(ValueError):  # noqa: N818  # named by what the asker should know
    """A column is of a type that is not known here; ask for another format."""


class ColumnType(NamedTuple):
    """A type, taken apart: `Map(String, Array(Int8))`."""

    name: str
    arguments: tuple[str, ...]


def for_protocol(data: bytes, version: int) -> bytes:
    """Write blocks as a protocol version has them; raises UnknownType, or IndexError for what are no blocks."""
    if version <= 0 or not data:
        return data
    return b"".join(_pieces(_Walk(data), version >= WITH_CUSTOM_SERIALIZATION))


def _pieces(walk: _Walk, with_custom: bool) -> Iterator[bytes]:
    while walk.at < len(walk.data):
        yield BLOCK_INFO
        begun = walk.at
        columns, rows = walk.number(), walk.number()
        for _ in range(columns):
            walk.skip(walk.number())
            kind = walk.text()
            if with_custom:
                yield walk.data[begun : walk.at] + NOT_CUSTOM
                begun = walk.at
            if rows:
                walk.prefix(kind, 0)
                walk.values(kind, rows, 0)
        yield walk.data[begun : walk.at]


class _Walk:
    """A place in Native data, moved over values."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def skip(self, size: int) -> None:
        self.at += size
        if self.at > len(self.data):
            raise IndexError("the data ends within a value")

    def number(self) -> int:
        """Read a number of seven bits a byte."""
        found, shift = 0, 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            found |= (byte & 0x7F) << shift
            if byte < 0x80:
                return found
            shift += 7

    def text(self) -> str:
        size = self.number()
        self.skip(size)
        return self.data[self.at - size : self.at].decode()

    def word(self) -> int:
        self.skip(8)
        return int.from_bytes(self.data[self.at - 8 : self.at], "little")

    def prefix(self, text: str, depth: int) -> None:
        """Move over what comes before a column's values: a version for each LowCardinality in it."""
        kind = parse_type(text, depth)
        if kind.name == "LowCardinality":
            self.skip(8)
            return
        for inner in _inner_types(kind):
            self.prefix(inner, depth + 1)

    def values(self, text: str, rows: int, depth: int) -> None:
        """Move over so many values of a type."""
        kind = parse_type(text, depth)
        if kind.name == "String":
            for _ in range(rows):
                self.skip(self.number())
        elif kind.name == "LowCardinality":
            self._low_cardinality(kind, rows, depth)
        elif kind.name in ("Array", "Map", "Nested"):
            self._inner(kind, self._last_offset(rows), depth)
        elif kind.name == "Nullable":
            self.skip(rows)
            self._inner(kind, rows, depth)
        elif kind.name in ("Tuple", "SimpleAggregateFunction"):
            self._inner(kind, rows, depth)
        else:
            self.skip(rows * _size(kind))

    def _inner(self, kind: ColumnType, rows: int, depth: int) -> None:
        for inner in _inner_types(kind):
            self.values(inner, rows, depth + 1)

    def _last_offset(self, rows: int) -> int:
        if rows == 0:
            return 0
        self.skip((rows - 1) * 8)
        return self.word()

    def _low_cardinality(self, kind: ColumnType, rows: int, depth: int) -> None:
        if rows == 0:
            return
        width = KEY_WIDTHS[self.word() & 0xFF]
        keys = parse_type(kind.arguments[0], depth)
        self.values(keys.arguments[0] if keys.name == "Nullable" else kind.arguments[0], self.word(), depth + 1)
        self.skip(self.word() * width)


def parse_type(text: str, depth: int = 0) -> ColumnType:
    """Take a type apart; raises UnknownType where it is nested too deep."""
    if depth > DEEPEST_TYPE:
        raise UnknownType("a column's type is nested too deep")
    name, opened, rest = text.strip().partition("(")
    return ColumnType(name, tuple(_split(rest[:-1])) if opened else ())


def _inner_types(kind: ColumnType) -> Sequence[str]:
    if kind.name == "SimpleAggregateFunction":
        return kind.arguments[-1:]
    if kind.name in ("Tuple", "Nested"):
        return [_without_name(argument) for argument in kind.arguments]
    return kind.arguments if kind.name in ("Array", "Map", "Nullable") else ()


def _without_name(argument: str) -> str:
    """Cut the name off a tuple's element, where it has one."""
    parts = list(_split(argument, " "))
    return parts[-1] if len(parts) == 2 else argument


def _size(kind: ColumnType) -> int:
    if kind.name in SIZES:
        return SIZES[kind.name]
    if kind.name == "FixedString":
        return int(kind.arguments[0])
    if kind.name == "Decimal":
        return next(size for digits, size in DECIMALS if int(kind.arguments[0]) <= digits)
    if kind.name.startswith("Interval"):
        return 8
    raise UnknownType(f"a column of type {kind.name[:64]} cannot be sent in this format; ask for another")


def _split(text: str, mark: str = ",") -> Iterator[str]:
    """Split where a mark stands outside of parentheses and quotes."""
    begun, level, quote, escaped = 0, 0, "", False
    for at, char in enumerate(text):
        if escaped:
            escaped = False
        elif quote:
            escaped = char == "\\"
            quote = "" if char == quote else quote
        elif char in "'`":
            quote = char
        elif char in "()":
            level += 1 if char == "(" else -1
        elif char == mark and level == 0:
            yield text[begun:at].strip()
            begun = at + 1
    yield text[begun:].strip()
