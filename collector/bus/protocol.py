"""The bus: keyed records on partitioned topics, consumer groups, and one commit for outputs, state and offsets.

Publishing is asynchronous (a future resolves once the records are durable); consuming is synchronous and belongs to
one thread, the worker that owns the group's state. Implementations: `embedded` (SQLite), `kafka`.

BusError
├── BusUnavailable     later: nothing was written, try again after `retry_after_seconds`
├── RecordTooLarge     never: one record is over the limit of the topic
└── Fenced             stop: another member owns this group now
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from types import MappingProxyType
from typing import NamedTuple, Protocol

STATE_VERSION = 2
"""Version of what stages keep as state, of all together; raise it where one could not read what was kept before.

A bus drops what another version wrote when it restores state, and counts it (`tracemend_state_dropped_records`).
"""


class BusError(Exception):
    """The bus did not do what was asked."""


class BusUnavailable(BusError):  # noqa: N818  # named by what the caller should know
    """Nothing was written; try again later."""

    def __init__(self, reason: str, retry_after_seconds: float = 1.0) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds


class RecordTooLarge(BusError):  # noqa: N818  # as above
    """A record is larger than its topic takes. Fields: topic, size, limit in bytes."""

    def __init__(self, topic: str, size: int, limit: int) -> None:
        super().__init__(f"a record of {size} bytes for {topic} is over the limit of {limit}")
        self.topic, self.size, self.limit = topic, size, limit


class Fenced(BusError):  # noqa: N818  # as above
    """Another member of the group took over; stop without committing."""


Headers = Mapping[str, bytes]


class Outgoing(NamedTuple):
    """A record to publish. Without a `partition` murmur2 of the key decides, partition 0 for an empty key."""

    topic: str
    key: str
    value: bytes
    headers: Headers = MappingProxyType({})
    partition: int | None = None


class Record(NamedTuple):
    """A record as consumers get it. `append_ns` is bus time: Unix ns at append, never decreasing in a partition."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes
    headers: Headers
    append_ns: int


class Batch(NamedTuple):
    """What one poll returned; empty when nothing came in time. `now_ns` is bus time, at or after every record in it."""

    records: Sequence[Record]
    now_ns: int


class Range(NamedTuple):
    """Records of one partition, both ends included."""

    topic: str
    partition: int
    first: int
    last: int


class StateChange(NamedTuple):
    """A change of keyed state; value None deletes. `due_ns`: when the owner wants to see the key again (bus time)."""

    store: str
    key: str
    value: bytes | None
    due_ns: int | None = None


class State(Protocol):
    """Keyed state of one group, as of its last commit."""

    def get(self, store: str, key: str) -> bytes | None:
        """Read one key."""

    def scan(self, store: str, prefix: str = "") -> Iterable[tuple[str, bytes]]:
        """Read all keys that begin with a prefix, in key order."""

    def due(self, store: str, until_ns: int, limit: int) -> Sequence[str]:
        """List keys whose `due_ns` is at or before a time, earliest first."""

    def count(self, store: str) -> int:
        """Count the keys of a store."""


class Consumer(Protocol):
    """One member of a group. Owned by one thread."""

    @property
    def state(self) -> State:
        """Give the group's keyed state."""

    def poll(self, max_records: int = 500, max_bytes: int = 8_388_608, timeout_seconds: float = 0.5) -> Batch:
        """Wait for records after those polled last; returns early when some are there."""

    def poll_again(self, ranges: Sequence[Range]) -> Batch:
        """Read exactly these records, but for those that have left the log since, and go on after them.

        Oldest first. Other partitions stay where they are.
        """

    def commit(
        self, outputs: Sequence[Outgoing] = (), changes: Sequence[StateChange] = (), offsets: bool = True
    ) -> None:
        """Commit outputs, state changes and, unless `offsets` is False, the offsets of everything polled so far.

        All or nothing, and durable on return. Raises BusUnavailable (later) or Fenced (stop).
        """

    def rewind(self) -> None:
        """Forget what was polled since the last commit, so that it is polled again."""

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Read on from an offset (the next record to read)."""

    def lag(self) -> Mapping[str, int]:
        """Count per topic the records not yet committed by this group."""

    def close(self) -> None:
        """Leave the group."""


class Tasks(Protocol):
    """A group's work as one member of it sees it: tasks by partition number, of which some are this member's.

    A task reads that partition of each topic and has state of its own. Owned by one thread. `shared`: whether other
    members may have tasks too; if not, being fenced means that another program has all of the group.
    """

    @property
    def shared(self) -> bool:
        """Say whether the group's work is shared out among members."""

    def mine(self) -> Collection[int] | None:
        """Give the tasks that are this member's now; None while they are shared out anew.

        Asking says that nothing is under way: whatever was polled is committed, and may go to another member.
        """

    def begin(self, numbers: Collection[int]) -> Mapping[int, Consumer]:
        """Begin tasks: members who had them are fenced, and their state is restored. Raises BusUnavailable."""

    def wait(self, timeout_seconds: float) -> None:
        """Wait until one of the tasks that were begun may have something to read; polls need not wait then."""

    def progress(self) -> str:
        """Say, from any thread, how far tasks that are being begun have come; empty where none is."""

    def close(self) -> None:
        """Leave the group; the tasks are closed before."""


class Bus(Protocol):
    """A durable, partitioned log."""

    @property
    def trouble(self) -> str:
        """Say why nothing can be published now; empty where it can."""

    def publish(self, records: Sequence[Outgoing]) -> Future[None]:
        """Append records together; the future resolves when they are durable, or fails with a BusError."""

    def consumer(self, group: str, topics: Sequence[str]) -> Consumer:
        """Take over a group of one task; a group that is new starts at the oldest record."""

    def tasks(self, group: str, topics: Sequence[str], everywhere: bool = False, at_least_once: bool = False) -> Tasks:
        """Join a group; a group that is new starts at the oldest record.

        `everywhere`: where there are several members, each reads all of it for itself instead of sharing the work.
        `at_least_once`: it may be told again what it was told before, and needs no transaction: its tasks put records
        aside before they commit offsets, and what a batch holds ends with the process.
        """

    def reader(self, topics: Sequence[str]) -> Consumer:
        """Read topics without being a group: from where `seek` says, else only what is appended from now on.

        Nothing is committed and retention does not wait.
        """

    def partitions(self, topic: str) -> int:
        """Say how many partitions a topic has."""

    def max_record_bytes(self, topic: str) -> int:
        """Say how large the value of a record may be."""

    def now_ns(self) -> int:
        """Bus time now: never decreases, also across restarts."""

    def backlog_bytes(self) -> int:
        """Estimate the bytes that senders brought and the slowest group has still to read. Asked by one thread."""

    def drained_bytes_a_second(self) -> float:
        """Say how fast the slowest group reads those, as `backlog_bytes` saw it of late."""

    def retain_for(self, readers: Collection[str]) -> None:
        """Remove from now on what these groups, of whatever process, have all read; where the bus minds readers."""

    def close(self) -> None:
        """Finish what was accepted, then let go."""


class Handled(NamedTuple):
    """What handling a batch produced: committed together with the batch's offsets, or not at all."""

    outputs: Sequence[Outgoing] = ()
    changes: Sequence[StateChange] = ()


class Stage(Protocol):
    """A component that reads topics and writes topics: normaliser, processors, sinks, healing.

    One driver (`collector/stage_task.py`) polls, calls `handle`, and commits.
    A stage never raises for a bad record: it counts it and puts a dead letter (`collector/bus/dead_letters.py`)
    among its outputs. What it raises means "later": the driver rewinds, calls `restore` and tries again with
    back-off, so caches must be rebuilt by `restore` alone.
    On Kafka each task of the group has a stage of its own; one whose attribute `everywhere` is true is there once in
    each process, and reads everything.
    """

    group: str
    topics: Sequence[str]

    def restore(self, state: State) -> None:
        """Start from the committed state alone. Called before the first batch and after a failed commit."""

    def handle(self, batch: Batch, state: State) -> Handled:
        """Handle a batch. It may be empty: then only bus time has passed."""


PART = "/"


def part_of(token: str, number: int) -> str:
    """Name the token of a part of a batch that was cut."""
    return f"{token}{PART}{number}"


def is_part(token: str) -> bool:
    """Say whether a token is that of a part, which may have been written under that of the whole before."""
    return PART in token.rpartition("|")[2]


class Delivery(Protocol):
    """A component that writes outside the bus (a store), exactly once.

    The driver fixes what a batch holds, durably, before `deliver` is called, and after a crash calls it again with
    the same records and the same token, until it returns; only then the offsets are committed. A batch that fails
    again and again is delivered in halves, down to the record that cannot be delivered.
    One whose attribute `at_least_once` is true can bear it if that is forgotten, and outputs dead letters only.
    """

    group: str
    topics: Sequence[str]
    max_records: int
    flush_seconds: float

    def restore(self, state: State) -> None:
        """Start from the committed state alone. Called before the first batch and after a failure."""

    def deliver(self, batch: Batch, token: str, again: bool) -> Handled:
        """Write a batch where it belongs. `again`: some or all of it may have been written before.

        It was under the same token, unless this is that of a part (`is_part`).
        """

    def close(self) -> None:
        """Let go of the connection."""
