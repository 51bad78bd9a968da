"""What a stage holds in memory of its keyed state, as objects: so many at most, and so many bytes of memory.

The object used last goes last. How much memory one takes is told by its size as it is stored, which costs nothing to
know, times what a stored byte was measured to take.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

from schemas.metrics import CACHE_BYTES, CACHE_EVICTED, GaugePart

T = TypeVar("T")
CAP, BYTES = "cap", "bytes"
"""Why an object is let go of."""


class HeldState(Generic[T]):
    """Objects by key, owned by one thread. `cache` is its name in the metrics.

    `most` objects and `most_bytes` of memory; `expansion` is bytes of memory for each byte stored.
    """

    def __init__(self, cache: str, most: int, most_bytes: int, expansion: int) -> None:
        self._cache = cache
        self._most = most
        self._most_stored = most_bytes // expansion
        self._expansion = expansion
        self._held: OrderedDict[str, T] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._stored = 0
        self._bytes_shown = GaugePart(CACHE_BYTES.labels(cache=cache))

    def __contains__(self, key: str) -> bool:
        """Say whether an object is held."""
        return key in self._held

    def get(self, key: str) -> T | None:
        """Look at an object, which does not count as use; None where it is not held."""
        return self._held.get(key)

    def use(self, key: str, one: T) -> None:
        """Hold an object, or note that one that is held was used."""
        self._held[key] = one
        self._held.move_to_end(key)

    def weigh(self, key: str, stored_bytes: int) -> None:
        """Note how many bytes an object takes as it is stored."""
        self._stored += stored_bytes - self._sizes.get(key, 0)
        self._sizes[key] = stored_bytes

    def drop(self, key: str) -> None:
        """Let go of an object, if it is held."""
        self._held.pop(key, None)
        self._stored -= self._sizes.pop(key, 0)

    def clear(self) -> None:
        """Let go of all of them."""
        self._held.clear()
        self._sizes.clear()
        self._stored = 0

    def trim(self) -> None:
        """Let go of those used longest ago while there are too many, or too large ones, and tell the metrics."""
        for reason, is_over in ((CAP, self._are_many), (BYTES, self._are_large)):
            evicted = 0
            while self._held and is_over():
                self.drop(next(iter(self._held)))
                evicted += 1
            if evicted:
                CACHE_EVICTED.labels(cache=self._cache, reason=reason).inc(evicted)
        self._bytes_shown.set(self._stored * self._expansion)

    def _are_many(self) -> bool:
        return len(self._held) > self._most

    def _are_large(self) -> bool:
        return self._stored > self._most_stored
