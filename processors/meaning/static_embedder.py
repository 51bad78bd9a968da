"""Makes vectors of texts by the packaged table.

A text is embedded once: its vectors are remembered by a hash of it, within a bound in bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property

import xxhash

from processors.embedding_similarity import EmbeddingSettings
from processors.meaning.passages import passages
from processors.meaning.static_table import StaticTable
from processors.meaning.vectors import blended, quantised
from processors.meaning.word_alignment import WordAlignment
from schemas.metrics import CACHE_BYTES, CACHE_EVICTED, EMBEDDED_TEXTS

CACHE = "embeddings"
_HELD, _EVICTED = CACHE_BYTES.labels(cache=CACHE), CACHE_EVICTED.labels(cache=CACHE, reason="bytes")
SHOWN_EVERY = 64
"""Embedded texts after which the cache's size is shown again."""
ENTRY_BYTES = 220
"""What an entry takes beside its vectors (measured: key, tuple, links)."""
VECTOR_BYTES = 33
"""What a vector takes beside its numbers."""


class StaticEmbedder:
    """Gives vectors of texts by the packaged table; reads it when the first text comes. Not for several threads."""

    def __init__(self, settings: EmbeddingSettings | None = None) -> None:
        self._most_bytes = (settings or EmbeddingSettings()).cache_bytes
        self._cache: OrderedDict[bytes, tuple[bytes, ...]] = OrderedDict()
        self._bytes = 0
        self._unshown = 0

    def embed(self, text: str) -> bytes:
        """Give the vector of a whole text; empty where it has no words."""
        vectors = self.passages(text)
        if len(vectors) < 2:
            return vectors[0] if vectors else b""
        return blended(vectors)

    def coverage(self, of: str, by: str, apart: str = "") -> tuple[float, int, int]:
        """Say how much of a text another covers, 0 to 1, and how many words of either that rests on."""
        return self._alignment.coverage(of, by, apart)

    def nearest(self, of: str, by: str) -> list[float]:
        """Say for each distinct word of content of a text how near the other comes to it, 0 to 1."""
        return self._alignment.nearest(of, by)

    def passages(self, text: str) -> tuple[bytes, ...]:
        """Give a vector for each passage of a text; a short text is one passage."""
        key = xxhash.xxh3_128_digest(text.encode("utf-8", "surrogatepass"))
        known = self._cache.get(key)
        if known is not None:
            self._cache.move_to_end(key)
            return known
        made = self._embedded(text)
        self._remember(key, made)
        self._count()
        return made

    def _embedded(self, text: str) -> tuple[bytes, ...]:
        table = self._table
        vectors = (quantised(table.total(pieces)) for pieces in passages(text, table.pieces.numbers))
        return tuple(vector for vector in vectors if vector)

    def _remember(self, key: bytes, vectors: tuple[bytes, ...]) -> None:
        self._cache[key] = vectors
        self._bytes += _weight(vectors)
        evicted = 0
        while self._bytes > self._most_bytes:
            _, oldest = self._cache.popitem(last=False)
            self._bytes -= _weight(oldest)
            evicted += 1
        if evicted:
            _EVICTED.inc(evicted)

    def _count(self) -> None:
        EMBEDDED_TEXTS.inc()
        self._unshown += 1
        if self._unshown >= SHOWN_EVERY:
            self._unshown = 0
            _HELD.set(self._bytes)

    @cached_property
    def _table(self) -> StaticTable:
        return StaticTable()

    @cached_property
    def _alignment(self) -> WordAlignment:
        return WordAlignment(self._table)


def _weight(vectors: tuple[bytes, ...]) -> int:
    return ENTRY_BYTES + sum(VECTOR_BYTES + len(vector) for vector in vectors)
