"""What travels from the embedded bus's publishers and consumers to its writer thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import NamedTuple, Protocol

from collector.bus.protocol import Outgoing, StateChange


class Write(NamedTuple):
    """One write that commits or fails as a whole; `group` is None for a plain publish."""

    done: Future[None]
    records: Sequence[Outgoing]
    group: str | None = None
    epoch: int = 0
    changes: Sequence[StateChange] = ()
    offsets: Mapping[tuple[str, int], int] = {}


class Writer(Protocol):
    """What a consumer needs of the bus it belongs to."""

    def write(self, write: Write) -> None:
        """Queue a write; its future tells what became of it."""

    def now_ns(self) -> int:
        """Say the bus time."""

    def generation(self) -> int:
        """Count the commits so far."""

    def wait_for_append(self, since: int, timeout_seconds: float) -> None:
        """Return when something was appended after generation `since`, or in time."""
