"""One stage on a real bus, driven step by step, so that a test can kill it anywhere."""

from __future__ import annotations

from collections.abc import Callable

from collector.bus.embedded import EmbeddedBus
from collector.bus.protocol import Consumer, Stage


class StageMember:
    """One stage and its consumer; `restart` is what a killed process does."""

    def __init__(self, bus: EmbeddedBus, make: Callable[[], Stage]) -> None:
        self._bus, self._make = bus, make
        self.restart()

    def restart(self) -> None:
        """Forget everything that is not committed."""
        self.stage = self._make()
        self.consumer: Consumer = self._bus.consumer(self.stage.group, self.stage.topics)
        self.stage.restore(self.consumer.state)

    def handle(self) -> Callable[[], None]:
        """Handle what is there; gives what commits it."""
        batch = self.consumer.poll(timeout_seconds=0.0)
        handled = self.stage.handle(batch, self.consumer.state)
        return lambda: self.consumer.commit(handled.outputs, handled.changes)

    def step(self) -> None:
        """Handle and commit."""
        self.handle()()
