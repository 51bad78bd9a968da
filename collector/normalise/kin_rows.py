"""The rows a trace's spans are stored in: what a batch says anew goes into one row, packed, however many spans it is.

Written once, never changed: a span of which something new is known goes into another row, and a row is deleted once
nobody's newest word is in it. Where most of what rows hold has passed, the oldest is written again without that, as in
a log-structured file system (Rosenblum and Ousterhout 1992). A row a span cost seven times the processor time and four
times the bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from schemas.packed import packed, unpacked

SPARE_BYTES = 65_536
"""What rows may hold beyond twice what counts before the oldest is written again."""

Row = tuple[int, bytes | None]
"""A row's number, and what is in it; None where it is to be deleted."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[str, msgspec.Raw]]).decode


class KinRows:
    """Which row holds a span's newest word, of one trace. Values are encoded kin; sizes are bytes before packing."""

    def __init__(self) -> None:
        self._row_of: dict[str, tuple[int, int]] = {}
        self._spans: dict[int, Sequence[str]] = {}
        self._counts: dict[int, int] = {}
        self._sizes: dict[int, int] = {}
        self._passed: list[int] = []
        self._next = 0
        self._live = self._held = 0

    def read(self, rows: Iterable[tuple[int, bytes]]) -> Mapping[str, msgspec.Raw]:
        """Take in the rows that are stored, in the order of their numbers; gives what counts, by span."""
        newest: dict[str, msgspec.Raw] = {}
        for number, value in rows:
            spans = dict(_decode(unpacked(value)))
            newest.update(spans)
            self._put(number, {span_id: len(raw) for span_id, raw in spans.items()})
        return newest

    def write(self, spans: Mapping[str, bytes]) -> Iterator[Row]:
        """Put spans into a row of their own; gives that, and the rows that nobody is in any more."""
        if spans:
            number = self._next
            self._put(number, {span_id: len(value) for span_id, value in spans.items()})
            yield number, packed(_encode([(span_id, msgspec.Raw(value)) for span_id, value in spans.items()]))
        yield from ((number, None) for number in self._passed)
        self._passed.clear()

    def leave(self, span_id: str) -> None:
        """Let a span go."""
        number, size = self._row_of.pop(span_id, (-1, 0))
        if number < 0:
            return
        self._live -= size
        self._counts[number] -= 1
        if not self._counts[number]:
            del self._counts[number], self._spans[number]
            self._held -= self._sizes.pop(number)
            self._passed.append(number)

    def worn(self) -> Sequence[str]:
        """List the spans of the oldest row, which are to be written again; none while enough of all rows counts."""
        if self._held <= 2 * self._live + SPARE_BYTES:
            return ()
        oldest = next(iter(self._spans))
        return [span_id for span_id in self._spans[oldest] if self._row_of.get(span_id, (-1,))[0] == oldest]

    def _put(self, number: int, sizes: Mapping[str, int]) -> None:
        for span_id in sizes:
            self.leave(span_id)
        self._row_of.update((span_id, (number, size)) for span_id, size in sizes.items())
        self._spans[number], self._counts[number] = tuple(sizes), len(sizes)
        self._sizes[number] = size = sum(sizes.values())
        self._live, self._held = self._live + size, self._held + size
        self._next = number + 1
