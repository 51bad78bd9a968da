"""Looks that are open and verdicts that were found: keyed state, read through what a batch changed."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from collector.bus.protocol import State, StateChange
from processors.looking.verdicts import Look, Verdict
from schemas.metrics import SECOND_LOOKS_OPEN

LOOKS, VERDICTS = "looks", "verdicts"
VERDICT_KEPT_NS = 3 * 86_400 * 1_000_000_000
DUE_AT_ONCE = 500

_encode = msgspec.msgpack.Encoder().encode
_look = msgspec.msgpack.Decoder(Look).decode
_verdict = msgspec.msgpack.Decoder(Verdict).decode


class Register:
    """All open looks, in memory as well, and the verdicts. Changes are collected until a commit takes them."""

    def __init__(self) -> None:
        self.looks: dict[str, Look] = {}
        self._changed: set[str] = set()
        self._verdicts: dict[str, tuple[Verdict | None, int]] = {}

    def restore(self, state: State) -> None:
        """Read the open looks from the committed state."""
        self.looks = {key: _look(value) for key, value in state.scan(LOOKS)}
        self._changed.clear()
        self._verdicts.clear()

    def put(self, key: str, look: Look) -> None:
        """Keep a look that is new or changed."""
        self.looks[key] = look
        self._changed.add(key)

    def drop(self, key: str) -> None:
        """Close a look, if it is open."""
        if self.looks.pop(key, None) is not None:
            self._changed.add(key)

    def verdict(self, key: str, state: State) -> Verdict | None:
        """Give what was found of a detection."""
        if key in self._verdicts:
            return self._verdicts[key][0]
        value = state.get(VERDICTS, key)
        return _verdict(value) if value else None

    def find(self, key: str, verdict: Verdict | None, now_ns: int) -> None:
        """Keep a verdict, or forget it."""
        self._verdicts[key] = (verdict, now_ns + VERDICT_KEPT_NS)

    def changes(self, state: State, now_ns: int) -> Iterator[StateChange]:
        """Give what is to be committed, and let verdicts go whose time has passed."""
        for key, (verdict, due_ns) in self._verdicts.items():
            yield StateChange(VERDICTS, key, _encode(verdict) if verdict is not None else None, due_ns)
        for key in self._changed:
            look = self.looks.get(key)
            yield StateChange(LOOKS, key, _encode(look) if look is not None else None)
        for key in state.due(VERDICTS, now_ns, DUE_AT_ONCE):
            if key not in self._verdicts:
                yield StateChange(VERDICTS, key, None)
        self._changed.clear()
        self._verdicts.clear()
        SECOND_LOOKS_OPEN.set(len(self.looks))
