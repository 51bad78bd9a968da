"""Keyed state without a bus, for tests that drive a stage by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from collector.bus.protocol import StateChange


class MemoryState:
    """Keyed state of one group in a dict, with the due times a real bus keeps."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], tuple[bytes, int | None]] = {}

    def get(self, store: str, key: str) -> bytes | None:
        row = self.rows.get((store, key))
        return row[0] if row else None

    def scan(self, store: str, prefix: str = "") -> Iterable[tuple[str, bytes]]:
        return sorted((k, row[0]) for (s, k), row in self.rows.items() if s == store and k.startswith(prefix))

    def due(self, store: str, until_ns: int, limit: int) -> Sequence[str]:
        found = [(row[1], k) for (s, k), row in self.rows.items() if s == store and row[1] is not None]
        return [key for due, key in sorted(found) if due <= until_ns][:limit]

    def count(self, store: str) -> int:
        return sum(s == store for s, _ in self.rows)

    def apply(self, changes: Iterable[StateChange]) -> None:
        for change in changes:
            if change.value is None:
                self.rows.pop((change.store, change.key), None)
            else:
                self.rows[change.store, change.key] = (change.value, change.due_ns)
