"""How much poison a group may find in a minute before it stops: rather than a whole topic go to the dead letters.

TooMuchPoison    stop: what the group reads is not what it can read, or the group is broken; says what to do
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

from collector.bus.protocol import Outgoing
from schemas.topics import DEAD_LETTERS

WINDOW_SECONDS = 60.0
DEFAULT_LIMIT = 1000
EXPECTED = frozenset({b"DatedOutside", b"EventRefused"})
"""Errors that are about what a sender said, not about whether it could be read: any number of them is an answer."""


class TooMuchPoison(Exception):  # noqa: N818  # named by what operators look for
    """A group has put too much aside."""


class PoisonLimit:
    """Counts the records that a group puts aside, by where they stood; owned by the group's thread."""

    def __init__(self, group: str, limit: int = DEFAULT_LIMIT, clock: Callable[[], float] = time.monotonic) -> None:
        self._group = group
        self._limit = limit
        self._clock = clock
        self._found: deque[tuple[float, tuple[bytes, ...]]] = deque()
        self._places: set[tuple[bytes, ...]] = set()

    def check(self, outputs: Iterable[Outgoing]) -> None:
        """Count the dead letters among outputs, before they are committed; raises TooMuchPoison above the limit."""
        now = self._clock()
        while self._found and now - self._found[0][0] > WINDOW_SECONDS:
            self._places.discard(self._found.popleft()[1])
        for record in outputs:
            if record.topic == DEAD_LETTERS and record.headers.get("error-class", b"") not in EXPECTED:
                self._count(record, now)

    def _count(self, record: Outgoing, now: float) -> None:
        headers = record.headers
        place = tuple(headers.get(f"original-{name}", b"") for name in ("topic", "partition", "offset"))
        if place in self._places:
            return  # one record that fails in several ways, or is tried again, is one
        self._places.add(place)
        self._found.append((now, place))
        if len(self._found) > self._limit:
            kind, text = (headers.get(name, b"").decode("utf-8", "replace") for name in ("error-class", "error-text"))
            raise TooMuchPoison(
                f"more than {self._limit} records within a minute could not be handled (bus::dead_letters::"
                f"max_per_minute), the last of {place[0].decode('utf-8', 'replace')} with {kind}: {text}. Nothing more "
                f"is put aside: look at `tracemend dead-letters list --stage {self._group}`, mend what writes such "
                "records or what reads them, and start again"
            )
