"""Who takes how much: what each tenant brought of late, so that one who floods is told to wait before others are."""

from __future__ import annotations

from collections import OrderedDict

HALF_LIFE_SECONDS = 10.0
"""How soon what somebody brought counts half."""
MOST_TENANTS = 1_024
"""Tenants remembered; beyond it the one quiet for longest counts as new when it comes again."""
TELLING_SHARE = 0.01
"""A tenant with less of all there is does not count as one of those who share."""


class FairShares:
    """Decaying sums of bytes, by tenant. Owned by one event loop; time in seconds goes in as an argument."""

    def __init__(self) -> None:
        self._brought: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def brings(self, tenant: str, size: int, now: float) -> None:
        """Count what a tenant brings."""
        self._brought[tenant] = (self._held(tenant, now) + size, now)
        self._brought.move_to_end(tenant)
        if len(self._brought) > MOST_TENANTS:
            self._brought.popitem(last=False)

    def is_over(self, tenant: str, now: float, alone: bool) -> bool:
        """Say whether a tenant has had more than an equal part; with `alone` somebody who is by himself has not.

        Without it at least two are expected to share, so that a late comer finds room.
        """
        held = {name: self._held(name, now) for name in self._brought}
        total = sum(held.values())
        if total <= 0:
            return False
        sharing = sum(amount > TELLING_SHARE * total for amount in held.values())
        return held.get(tenant, 0.0) > total / max(1 if alone else 2, sharing)

    def _held(self, tenant: str, now: float) -> float:
        amount, since = self._brought.get(tenant, (0.0, now))
        return float(amount * 0.5 ** ((now - since) / HALF_LIFE_SECONDS))
