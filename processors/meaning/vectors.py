"""Vectors as detectors keep them, int8 numbers as bytes, and the arithmetic on them: exact, so the same everywhere.

An empty vector is that of a text without words: it is like nothing.
numpy is imported when the first vector is met: what only reads a detector's settings starts without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

DIMENSIONS = 128
"""Numbers of a vector: the first half of the table's, ordered by what they tell."""
LARGEST = 127


def quantised(numbers: npt.NDArray[np.number[Any]]) -> bytes:
    """Scale numbers so that the largest fills a signed byte, and pack them; empty where all are zero."""
    import numpy as np

    kept = numbers[:DIMENSIONS]
    largest = max(float(kept.max()), -float(kept.min()))
    return np.rint(kept * (LARGEST / largest)).astype(np.int8).tobytes() if largest else b""


def likeness(one: bytes, other: bytes) -> float:
    """Say how alike two texts are by their vectors' cosine: 1 the same, 0 unrelated; 0 where one has no words."""
    return float(likenesses(one, (other,))[0])


def likenesses(one: bytes, others: Sequence[bytes]) -> Floats:
    """Say how alike a text is to each of others."""
    import numpy as np

    found = np.zeros(len(others))
    places = [place for place, other in enumerate(others) if len(other) == len(one)]
    if not one or not places:
        return found
    rows = np.frombuffer(b"".join(others[place] for place in places), np.int8).reshape(len(places), -1)
    found[places] = _units(rows) @ _units(np.frombuffer(one, np.int8)[None])[0]
    return found


def blended(vectors: Iterable[bytes]) -> bytes:
    """Give what several texts are about together, each counting the same."""
    import numpy as np

    told = [vector for vector in vectors if vector]
    if len(told) < 2:
        return told[0] if told else b""
    rows = np.frombuffer(b"".join(told), np.int8).reshape(len(told), -1)
    return quantised(_units(rows).sum(axis=0))


def _units(rows: npt.NDArray[np.int8]) -> Floats:
    import numpy as np

    wide = rows.astype(np.float64)
    lengths: Floats = np.sqrt((wide * wide).sum(axis=1, keepdims=True))
    return wide / lengths
