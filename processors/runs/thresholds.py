"""From which confidence on findings are told, by tenant, detection type and framework: what people set at run time."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.detection import GREY_ZONE
from schemas.people import Threshold

LEAST = GREY_ZONE[0]
"""From where on a finding is told where nobody set anything."""

Place = tuple[str, str, str]
"""Tenant, detection type and framework; framework "" stands for every one without a threshold of its own."""


class Thresholds:
    """Those in force. One thread writes, others read: a read is one look into a dictionary, and needs no lock.

    `most` bounds how many places are remembered.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._held: dict[Place, Threshold] = {}
        self._most = most

    def take(self, said: Threshold) -> bool:
        """Let a threshold hold, unless a newer one is known or there are too many; returns whether it does."""
        place = (said.tenant, said.detector, said.framework)
        known = self._held.get(place)
        if known is not None and known.version >= said.version:
            return False
        if known is None and len(self._held) >= self._most:
            return False
        self._held[place] = said
        return True

    def restore(self, said: Iterable[Threshold]) -> None:
        """Let exactly these hold, at once: nobody looks in between."""
        self._held = {(one.tenant, one.detector, one.framework): one for one in said}

    def __len__(self) -> int:
        """Count the places that were ever set."""
        return len(self._held)

    def newest(self, tenant: str, detector: str, framework: str) -> Threshold | None:
        """Give what was last said of exactly this place."""
        return self._held.get((tenant, detector, framework))

    def least(self, tenant: str, detector: str, framework: str) -> float:
        """Give the least confidence that is told, 0-1: the framework's own, else that for all, else the usual."""
        for place in ((tenant, detector, framework), (tenant, detector, "")):
            said = self._held.get(place)
            if said is not None and said.min_confidence is not None:
                return said.min_confidence
        return LEAST
