"""What a tenant's judge has spent and set aside: per run, hour and day; reads committed state through its own changes.

A reservation counts as spent from the moment it is granted, at its upper bound. Settling gives back what was not used;
one that is never settled (its judge died) stays spent, and only its row goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from collector.bus.protocol import State, StateChange
from schemas.judge import RUN, TENANT_DAY, TENANT_HOUR, Reserve, Settle
from schemas.keys import join_key

SUMS, RESERVATIONS = "sums", "reservations"
SECOND_NS = 1_000_000_000
HOUR_NS = 3_600 * SECOND_NS
DAY_NS = 24 * HOUR_NS
KEPT_NS = {RUN: 7 * DAY_NS, TENANT_HOUR: 2 * HOUR_NS, TENANT_DAY: 2 * DAY_NS}
"""How long a sum is kept after it was last added to: longer than its period, and than most runs last."""
UNSETTLED_NS = 28 * HOUR_NS
"""How long a reservation can be settled; a batch takes a day at most."""
DUE_AT_ONCE = 500


class Held(msgspec.Struct, frozen=True, array_like=True):
    """A reservation that is not settled: its amount, and the rows it was added to."""

    micro_usd: int
    sums: tuple[tuple[str, str], ...]
    """Budget and row key."""


_encode = msgspec.msgpack.Encoder().encode
_held = msgspec.msgpack.Decoder(Held).decode


class Ledger:
    """One batch's view of the sums. `limits`: micro-USD by budget."""

    def __init__(self, limits: Mapping[str, int], state: State) -> None:
        self._limits = limits
        self._state = state
        self._sums: dict[str, tuple[int, int]] = {}
        self._reservations: dict[str, tuple[Held | None, int | None]] = {}

    def reserve(self, asked: Reserve, now_ns: int) -> str:
        """Set money aside; gives the budget that forbids it, or nothing. Asking again changes nothing."""
        key = join_key(asked.tenant, asked.id)
        if self._held(key) is not None:
            return ""
        rows = _rows(asked, now_ns)
        for budget, row in rows:
            if self.spent(row) + asked.micro_usd > self._limits[budget]:
                return budget
        for budget, row in rows:
            self._add(budget, row, asked.micro_usd, now_ns)
        self._reservations[key] = (Held(asked.micro_usd, rows), now_ns + UNSETTLED_NS)
        return ""

    def settle(self, paid: Settle, now_ns: int) -> int:
        """Give back what a call did not use; returns by how much it cost more than was set aside, usually nothing."""
        key = join_key(paid.tenant, paid.id)
        held = self._held(key)
        if held is None:
            return 0  # settled before, or expired into spent
        for budget, row in held.sums:
            self._add(budget, row, paid.micro_usd - held.micro_usd, now_ns)
        self._reservations[key] = (None, None)
        return max(0, paid.micro_usd - held.micro_usd)

    def spent(self, row: str) -> int:
        """Say what counts as spent in a row, micro-USD."""
        if row in self._sums:
            return self._sums[row][0]
        data = self._state.get(SUMS, row)
        return int.from_bytes(data, "big") if data else 0

    def changes(self, now_ns: int) -> Iterator[StateChange]:
        """Give the changes to commit, and let rows go whose time has passed."""
        for row, (micro_usd, kept_ns) in self._sums.items():
            yield StateChange(SUMS, row, max(0, micro_usd).to_bytes(8, "big"), kept_ns)
        for key, (held, due_ns) in self._reservations.items():
            yield StateChange(RESERVATIONS, key, None if held is None else _encode(held), due_ns)
        for store, fresh in ((SUMS, self._sums), (RESERVATIONS, self._reservations)):
            for key in self._state.due(store, now_ns, DUE_AT_ONCE):
                if key not in fresh:
                    yield StateChange(store, key, None)

    def _held(self, key: str) -> Held | None:
        if key in self._reservations:
            return self._reservations[key][0]
        data = self._state.get(RESERVATIONS, key)
        return _held(data) if data else None

    def _add(self, budget: str, row: str, micro_usd: int, now_ns: int) -> None:
        self._sums[row] = (self.spent(row) + micro_usd, now_ns + KEPT_NS[budget])


def _rows(asked: Reserve, now_ns: int) -> tuple[tuple[str, str], ...]:
    hour, day = now_ns - now_ns % HOUR_NS, now_ns - now_ns % DAY_NS
    return (
        (RUN, join_key(asked.tenant, RUN, asked.run_id)),
        (TENANT_HOUR, join_key(asked.tenant, TENANT_HOUR, str(hour))),
        (TENANT_DAY, join_key(asked.tenant, TENANT_DAY, str(day))),
    )
