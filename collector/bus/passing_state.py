"""Keyed state that ends with the process: for groups whose work can bear to be done again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from collector.bus.protocol import StateChange


class PassingState:
    """A `State` in memory, of a few keys: what the batch in hand holds."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], bytes] = {}

    def get(self, store: str, key: str) -> bytes | None:
        """Read one key."""
        return self._values.get((store, key))

    def scan(self, store: str, prefix: str = "") -> Iterable[tuple[str, bytes]]:
        """Read all keys that begin with a prefix, in key order."""
        return sorted(
            (key, value) for (of, key), value in self._values.items() if of == store and key.startswith(prefix)
        )

    def due(self, store: str, until_ns: int, limit: int) -> Sequence[str]:  # noqa: ARG002  # times are not kept
        """List keys that are due: none."""
        return ()

    def count(self, store: str) -> int:
        """Count the keys of a store."""
        return sum(of == store for of, _ in self._values)

    def apply(self, changes: Iterable[StateChange]) -> None:
        """Take over changes."""
        for change in changes:
            self._values.pop((change.store, change.key), None)
            if change.value is not None:
                self._values[change.store, change.key] = change.value
