"""A stage that counts the records of each key: what it says shows at once whether anything was lost or done twice."""

from __future__ import annotations

import time
from collections.abc import Sequence

from collector.bus.protocol import Batch, Bus, Handled, Outgoing, State, StateChange
from schemas.topics import AGENT_STEPS, USAGE

KEYS = [f"t/{number}" for number in range(24)]


class Counting:
    """Counts the records of each key in its state, and says the count on another topic."""

    group = "counting"
    topics: Sequence[str] = (AGENT_STEPS,)

    def restore(self, state: State) -> None:
        """Nothing is kept beside the state."""

    def handle(self, batch: Batch, state: State) -> Handled:
        """Count."""
        counts: dict[str, int] = {}
        outputs = []
        for record in batch.records:
            known = counts.get(record.key) or int(state.get("counts", record.key) or b"0")
            counts[record.key] = known + 1
            outputs.append(Outgoing(USAGE, record.key, str(known + 1).encode()))
        return Handled(outputs, [StateChange("counts", key, str(count).encode()) for key, count in counts.items()])


def publish(bus: Bus, times: int) -> None:
    """Bring a record of each key, so many times."""
    for _ in range(times):
        bus.publish([Outgoing(AGENT_STEPS, key, b"x") for key in KEYS]).result(20)


def counted(bus: Bus, until: int, seconds: float = 60.0) -> dict[str, list[int]]:
    """Read what was said of each key, until the last of each is at a count or the time is over."""
    reader = bus.reader([USAGE])
    for partition in range(bus.partitions(USAGE)):
        reader.seek(USAGE, partition, 0)
    said: dict[str, list[int]] = {}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not _are_at(said, until):
        for record in reader.poll(10_000, timeout_seconds=0.5).records:
            said.setdefault(record.key, []).append(int(record.value))
    reader.close()
    return said


def once_each(until: int) -> dict[str, list[int]]:
    """Give what is said where every record was counted once."""
    return {key: list(range(1, until + 1)) for key in KEYS}


def _are_at(said: dict[str, list[int]], until: int) -> bool:
    return set(said) == set(KEYS) and all(max(counts) >= until for counts in said.values())
