"""Changes to a group's state while a batch is being handled: reads see what the batch has written so far."""

from __future__ import annotations

from collections.abc import Sequence

from collector.bus.protocol import State, StateChange

FAR_NS = 2**62


class Draft:
    """A view on committed state with the batch's changes on top. One per batch."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._changes: dict[tuple[str, str], StateChange] = {}

    def get(self, store: str, key: str) -> bytes | None:
        """Read one key."""
        change = self._changes.get((store, key))
        return self._state.get(store, key) if change is None else change.value

    def put(self, store: str, key: str, value: bytes, due_ns: int) -> None:
        """Write one key and when to see it again."""
        self._changes[store, key] = StateChange(store, key, value, due_ns)

    def drop(self, store: str, key: str) -> None:
        """Delete one key."""
        self._changes[store, key] = StateChange(store, key, None)

    def due(self, store: str, until_ns: int, limit: int) -> list[str]:
        """List keys that are due, earliest first."""
        mine = [change for (name, _), change in self._changes.items() if name == store]
        found = [change for change in mine if change.due_ns is not None and change.due_ns <= until_ns]
        found.sort(key=lambda change: (change.due_ns, change.key))
        touched = {change.key for change in mine}
        committed = self._state.due(store, until_ns, limit + len(touched))
        return [*(key for key in committed if key not in touched), *(change.key for change in found)][:limit]

    def excess(self, store: str, cap: int) -> list[str]:
        """List the keys that are due first among those beyond a cap."""
        if not any(name == store for name, _ in self._changes):
            return []
        over = self.count(store) - cap
        return self.due(store, FAR_NS, over) if over > 0 else []

    def count(self, store: str) -> int:
        """Count the keys of a store."""
        count = self._state.count(store)
        for (name, key), change in self._changes.items():
            if name == store:
                count += (change.value is not None) - (self._state.get(store, key) is not None)
        return count

    def changes(self) -> Sequence[StateChange]:
        """Give what the batch changed, each key once."""
        return list(self._changes.values())
