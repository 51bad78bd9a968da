"""Where in the log the steps begin that the judge has in memory, so that a restart reads them again.

A bookmark of each partition is committed with the batches that move it: from there on, up to what was read, stand as
many bytes as the transcripts may take.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from collector.bus.protocol import Record, State, StateChange

STORE = "bookmarks"
MARKS = 16
"""How many places of a partition are remembered: a bookmark moves by a sixteenth of the bytes."""


class Stretch(NamedTuple):
    """Records of one partition of `agent_steps`: from an offset up to, and without, another one."""

    partition: int
    first: int
    until: int


class _Partition:
    def __init__(self, first: int) -> None:
        self.marks: deque[tuple[int, int]] = deque([(first, 0)])
        """Offsets, and the bytes that stand between each and the next one."""
        self.until = first

    def read(self, offset: int, size: int, most_bytes: int) -> None:
        at, held = self.marks[-1]
        self.marks[-1] = (at, held + size)
        self.until = offset + 1
        if held + size > most_bytes // MARKS:
            self.marks.append((offset + 1, 0))
        while len(self.marks) > MARKS:
            self.marks.popleft()


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, int]).decode


class Bookmarks:
    """The bookmarks of the partitions that a stage reads."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._partitions: dict[int, _Partition] = {}
        self._moved: set[int] = set()

    def read(self, record: Record) -> None:
        """Take note of a record that was read."""
        known = self._partitions.get(record.partition)
        if known is None:
            known = self._partitions[record.partition] = _Partition(record.offset)
        known.read(record.offset, len(record.value), self._most_bytes)
        self._moved.add(record.partition)

    def changes(self) -> Iterator[StateChange]:
        """Give what is to be committed."""
        for number in self._moved:
            known = self._partitions[number]
            yield StateChange(STORE, str(number), _encode((known.marks[0][0], known.until)))
        self._moved.clear()

    @staticmethod
    def stretches(state: State) -> Iterator[Stretch]:
        """Give what a restart has to read again."""
        for number, value in state.scan(STORE):
            yield Stretch(int(number), *_decode(value))
