"""A row of the conformance table, and the doors that rows are tried on, each in the situation it is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Protocol

from open_doors import OpenDoors, request

from collector.admission import Admission
from collector.bus.protocol import BusUnavailable
from collector.receivers.api_keys import ApiKey, hash_of, new_key

KEY = new_key()
SITUATIONS: dict[str, dict[str, Any]] = {
    "plain": {"grpc": {"reflection": False}},
    "overloaded": {},
    "no memory": {"limit_bytes": 1_000},
    "over its share": {"admission": Admission(1 << 40, unread=lambda: 1 << 40, tenants=2)},
    "small records": {"max_record_bytes": 300},
    "locked": {"keys": [ApiKey(tenant="acme", hash=hash_of(KEY))]},
    "pages": {"http": {"cors": {"allowed_origins": ["https://*.example.com"], "allowed_headers": ["x-api-key"]}}},
    "two connections": {"grpc": {"max_connections": 2}},
    "reflecting": {"grpc": {"reflection": True}},
}


class Asked(Protocol):
    """What a row does."""

    def seen(self, doors: OpenDoors) -> dict[str, Any]:
        """Do it, and say what is seen."""


class Row(NamedTuple):
    """One behaviour: what is asked of which door in which situation, by which clause, and what has to be seen."""

    door: str
    behaviour: str
    clause: str
    asked: Asked
    expected: dict[str, Any]
    given: str = "plain"

    @property
    def name(self) -> str:
        """What it is called in a report."""
        return self.behaviour if self.given == "plain" else f"{self.behaviour} ({self.given})"

    def differences(self, doors: OpenDoors) -> dict[str, tuple[Any, Any]]:
        """Try it: what was expected and what was seen instead; empty where it conforms."""
        seen = self.asked.seen(doors)
        return {key: (value, seen.get(key)) for key, value in self.expected.items() if seen.get(key) != value}


class Doors:
    """Doors in every situation, opened when first asked for; close them when done."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, OpenDoors] = {}

    def given(self, situation: str) -> OpenDoors:
        """Give the doors in a situation."""
        if situation not in self._open:
            doors = OpenDoors(self._folder / situation.replace(" ", "-"), **SITUATIONS[situation])
            if situation == "overloaded":
                doors.bus.refusal = BusUnavailable("disk full", 3.0)
            if situation == "over its share":
                doors.ask("POST", "/v1/traces", request(), {"Content-Type": "application/x-protobuf"})
            self._open[situation] = doors
        return self._open[situation]

    def close(self) -> None:
        """Close them all."""
        for doors in self._open.values():
            doors.close()
