"""A group whose work is not shared out: one task, which whoever joined last has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from collector.bus.protocol import Consumer


class WholeGroup:
    """The tasks of a group on a bus that one program has for itself; see `Tasks`."""

    shared = False

    def __init__(self, join: Callable[[], Consumer]) -> None:
        self._join = join

    def mine(self) -> Collection[int]:
        """Give the one task."""
        return (0,)

    def begin(self, numbers: Collection[int]) -> Mapping[int, Consumer]:
        """Join the group."""
        return {number: self._join() for number in numbers}

    def wait(self, timeout_seconds: float) -> None:
        """Return: a task that is alone waits in its poll."""

    def progress(self) -> str:
        """Give nothing: state is where it is read."""
        return ""

    def close(self) -> None:
        """Do nothing: closing the task leaves the group."""
