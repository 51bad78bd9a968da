"""What healing remembers of each detection it was asked to heal."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from healing.draft import Draft
from healing.homes import Home
from schemas.healing import HealingRequest
from schemas.keys import join_key, split_key
from schemas.timestamps import SECOND_NS

STORE = "healings"
REMEMBER_NS = 7 * 86_400 * SECOND_NS
"""How long a healing that needs nothing more is remembered, so that it is not done again."""


class Phase(StrEnum):
    """Where a healing is. A suggestion or a refusal may still become another; the last six are final."""

    ASKED = "asked"
    SUGGESTED = "suggested"
    REFUSED = "refused"
    APPLIED = "applied"
    RECORDED = "recorded"
    REJECTED = "rejected"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    TAKEN_BACK = "taken_back"
    MOVED = "moved"


WAITING = (Phase.ASKED, Phase.SUGGESTED)


class Healing(msgspec.Struct, frozen=True, array_like=True):
    """One healing. `request` is what was decided on, `version` the newest of the detection that was seen."""

    phase: Phase
    version: int
    request: HealingRequest
    decided_ns: int
    deadline_ns: int = 0
    scope: str = ""
    rule_id: str = ""
    by: str = ""
    moved_service: str = ""
    moved_agent: str = ""

    @property
    def waits(self) -> bool:
        """Whether a person may still answer."""
        return self.phase in WAITING


def load(draft: Draft, home: Home, healing_id: str) -> Healing | None:
    """Read a healing."""
    return _decoded(draft.get(STORE, _state_key(home, healing_id)))


def save(draft: Draft, home: Home, healing: Healing, now_ns: int) -> None:
    """Write a healing; it is due at its deadline, or when it may be forgotten."""
    due_ns = healing.deadline_ns if healing.waits else now_ns + REMEMBER_NS
    draft.put(STORE, _state_key(home, healing.request.id), msgspec.msgpack.encode(healing), due_ns)


def load_due(draft: Draft, state_key: str) -> tuple[Home, Healing]:
    """Read a healing by its key in the state."""
    healing = _decoded(draft.get(STORE, state_key))
    if healing is None:
        raise LookupError(f"{state_key} is due and not there")
    return Home(*split_key(state_key)[:3]), healing


def _decoded(value: bytes | None) -> Healing | None:
    return None if value is None else msgspec.msgpack.decode(value, type=Healing)


def _state_key(home: Home, healing_id: str) -> str:
    return join_key(*home, healing_id)
