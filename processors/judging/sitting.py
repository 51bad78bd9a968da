"""What the parts of the judge work on together while one batch is handled."""

from __future__ import annotations

from dataclasses import dataclass, field

from collector.bus.protocol import Outgoing, State


@dataclass(frozen=True)
class Sitting:
    """One batch's work: bus time, the committed state, and what is to be published."""

    now_ns: int
    state: State
    outputs: list[Outgoing] = field(default_factory=list)
