"""What the figures are to be, by what was measured; the bench files only measure."""

from __future__ import annotations

from typing import NamedTuple


class Target(NamedTuple):
    """A bound a figure has to keep: at least, or at most."""

    bound: float
    at_most: bool = False

    def met(self, value: float) -> bool:
        """Tell whether a figure keeps it."""
        return value <= self.bound if self.at_most else value >= self.bound

    def __str__(self) -> str:
        """Write it with its direction."""
        return f"{'≤' if self.at_most else '≥'} {self.bound:,.10g}"


def at_least(bound: float) -> Target:
    """Bound a figure from below."""
    return Target(bound)


def at_most(bound: float) -> Target:
    """Bound a figure from above."""
    return Target(bound, at_most=True)


RECEIVER = "receiver to durable bus, {}, {} spans of 1 kB a request, {}, {} partitions"
TARGETS = {
    RECEIVER.format("gRPC", 500, "20 traces", 1): at_least(170_000),
    RECEIVER.format("gRPC", 100, "20 traces", 1): at_least(110_000),
    RECEIVER.format("HTTP", 500, "20 traces", 1): at_least(170_000),
    RECEIVER.format("gRPC", 500, "one span a trace", 12): at_least(85_000),
    RECEIVER.format("HTTP", 500, "one span a trace", 12): at_least(85_000),
    RECEIVER.format("gRPC", 100, "one span a trace", 12): at_least(55_000),
    "normaliser, all recorded dialects": at_least(40_000),
    "all detectors together, 400 steps": at_least(80_000),
    "all detectors together, 6,400 steps": at_least(80_000),
    "all detectors together, 100,000 steps": at_least(80_000),
    "embedding, new texts of 12 words": at_least(30_000),
    "judge, from escalation to verdict, API at once, median": at_most(200),
    "span sink into chDB, 10,000 spans a batch": at_least(40_000),
    "whole pipeline, agent spans of 1 kB, sustained": at_least(15_000),
    "span sent to detection told, idle, p99": at_most(50),
    "span sent to detection told, half load, p99": at_most(1_000),
    "idle stage, all detectors, 10,000 runs open": at_most(1),
    "from the command to ready, data dir as it was left": at_most(2),
    "tracemend --help": at_most(300),
}
