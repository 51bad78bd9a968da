"""What an upper tier remembers of runs it may be asked about, across restarts: transcripts, and where they begin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from collector.bus.protocol import Record, State, StateChange
from processors.judging.bookmarks import Bookmarks, Stretch
from processors.judging.transcripts import NAME, Transcripts

ReadBack = Callable[[Stretch], Iterable[Record]]
"""Reads records of `agent_steps` again."""


class Recollection:
    """The last steps of runs, of one task. `most_bytes` bounds them; `cache` names them in the metrics."""

    def __init__(self, most_bytes: int, read_back: ReadBack, cache: str = NAME) -> None:
        self.transcripts = Transcripts(most_bytes, cache)
        self._bookmarks = Bookmarks(most_bytes)
        self._read_back = read_back
        self._has_read_back = False

    def restore(self, state: State) -> None:
        """Read again what was in memory before a restart; a failed batch leaves it as it is."""
        if self._has_read_back:
            return
        for stretch in Bookmarks.stretches(state):
            for record in self._read_back(stretch):
                self.keep(record)
        self._has_read_back = True

    def keep(self, record: Record) -> None:
        """Take a record of `agent_steps` in."""
        self.transcripts.add(record)
        self._bookmarks.read(record)

    def changes(self) -> Iterator[StateChange]:
        """Give what is to be committed."""
        return self._bookmarks.changes()
