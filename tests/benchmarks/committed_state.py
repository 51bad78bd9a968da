"""Keyed state of one group in memory, for measuring a stage without a bus."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from collector.bus.protocol import StateChange


class CommittedState:
    """A dict per store; nothing is ever due, so that looking costs nothing."""

    def __init__(self) -> None:
        self._stores: dict[str, dict[str, bytes]] = {}

    def get(self, store: str, key: str) -> bytes | None:
        """Read one key."""
        return self._stores.get(store, {}).get(key)

    def scan(self, store: str, prefix: str = "") -> Iterable[tuple[str, bytes]]:
        """Find nothing: what is measured starts afresh."""
        return ()

    def due(self, store: str, until_ns: int, limit: int) -> Sequence[str]:
        """Find nothing due."""
        return ()

    def count(self, store: str) -> int:
        """Count the keys of a store."""
        return len(self._stores.get(store, {}))

    def apply(self, changes: Iterable[StateChange]) -> None:
        """Take changes in."""
        for change in changes:
            held = self._stores.setdefault(change.store, {})
            if change.value is None:
                held.pop(change.key, None)
            else:
                held[change.key] = change.value

    def bytes_of(self, store: str) -> int:
        """Add up the values of a store."""
        return sum(map(len, self._stores.get(store, {}).values()))
