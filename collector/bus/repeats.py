"""Requests that a client sent again because the answer got lost: the same bytes in the same partition, within a window.

Part of a group's committed state, so that a repeat is dropped exactly once, whatever is killed in between.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

import xxhash

from collector.bus.protocol import Headers, Record, State, StateChange
from schemas.keys import DEFAULT_TENANT
from schemas.metrics import REPEATS
from schemas.topics import CONTENT_HASH_HEADER, REPLAY_HEADER, TENANT_HEADER

STORE = "repeats"
REMEMBERED = 200_000
"""Contents remembered at most; beyond it the oldest are forgotten before their time."""


class Repeats:
    """Drops repeats for one group; owned by its thread."""

    def __init__(self, group: str, window_seconds: float) -> None:
        self._group = group
        self._window_ns = int(window_seconds * 1e9)
        self._seen: OrderedDict[str, int] = OrderedDict()

    def restore(self, state: State) -> None:
        """Start from the committed state."""
        rows = [(int.from_bytes(value, "big"), key) for key, value in state.scan(STORE)]
        self._seen = OrderedDict((key, seen_ns) for seen_ns, key in sorted(rows))

    def fresh(self, records: Sequence[Record], now_ns: int) -> tuple[list[Record], list[StateChange]]:
        """Leave out repeats; returns what is new, and the changes to commit with it.

        What is forgotten goes by when the records came, so that a stage that was down or behind still knows a repeat.
        """
        kept: list[Record] = []
        changes = list(self._expire(min((record.append_ns for record in records), default=now_ns)))
        for record in records:
            key = _key(record)
            if key in self._seen and record.append_ns - self._seen[key] <= self._window_ns:
                REPEATS.labels(stage=self._group).inc()
                continue
            self._seen[key] = record.append_ns
            self._seen.move_to_end(key)
            changes.append(StateChange(STORE, key, record.append_ns.to_bytes(8, "big")))
            kept.append(record)
        return kept, changes

    def _expire(self, now_ns: int) -> Iterable[StateChange]:
        while self._seen:
            key, seen_ns = next(iter(self._seen.items()))
            if now_ns - seen_ns <= self._window_ns and len(self._seen) <= REMEMBERED:
                return
            del self._seen[key]
            yield StateChange(STORE, key, None)


def _key(record: Record) -> str:
    content = record.headers.get(CONTENT_HASH_HEADER)
    digest = content.decode("ascii", "replace") if content else hash_of(record.headers, record.value)
    replay = record.headers.get(REPLAY_HEADER, b"").decode("ascii", "replace")
    return f"{record.topic}/{record.partition}/{digest}{replay}"


def hash_of(headers: Headers, value: bytes) -> str:
    """Hash tenant and value, as the receiver does: 16 hex digits; for records that somebody else wrote."""
    hashed = xxhash.xxh3_64(headers.get(TENANT_HEADER, DEFAULT_TENANT.encode()))
    hashed.update(value)
    return hashed.hexdigest()
