"""The embedded bus: a durable log in one SQLite file, written by one thread that commits in groups.

Whatever waits while a commit is under way goes into the next one, so latency is one or two fsyncs
and throughput grows with load. Consumers read on connections of their own; WAL lets them.
Other processes write the same file (`tracemend up` is several, the command line publishes), so offsets are read inside
each transaction, writers take turns, and whoever appends wakes the readers of all.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from collector.bus import embedded_log as log
from collector.bus import protocol, retention
from collector.bus.backlog import Backlog
from collector.bus.clock import BusClock
from collector.bus.embedded_consumer import EmbeddedConsumer
from collector.bus.embedded_log import Head, Packed
from collector.bus.embedded_write import Write
from collector.bus.log_errors import sorted_error
from collector.bus.murmur2 import partition_of
from collector.bus.protocol import BusUnavailable, Fenced, Outgoing
from collector.bus.wakeups import WakeUps
from collector.bus.whole_group import WholeGroup
from collector.bus.writable_folder import check_writable, make_writable
from collector.bus.write_queue import WriteQueue
from collector.bus.write_turn import WriteTurn
from schemas.metrics import BUS_CLOCK_AHEAD, STATE_DROPPED
from schemas.topics import TOPICS, Topic

T = TypeVar("T")

QUEUE_BYTES = 256 << 20
"""Bytes of records that may wait to be written, where nothing else is said."""
RETENTION_EVERY_SECONDS, RETENTION_AGAIN_SECONDS = 30.0, 1.0
"""How often old records are looked for; after a round that found some, which removes only so many, soon again."""
MAX_RECORD_BYTES = 64 * 1024 * 1024
PROBE_SECONDS = 1.0
"""How often it is tried whether a log that could not be written can be again."""


class EmbeddedBus:
    """A bus in a folder. `max_bytes` bounds what unread records may take; above it publishing is refused.

    So it is while `queue_bytes` wait to be written: of what senders gave up on, too, which no door counts any more.

    `readers` are the groups that retention waits for, of this process and all others; where it is empty, nothing is
    removed until `retain_for`, and None stands for the groups that join here.
    """

    def __init__(
        self,
        folder: Path,
        partitions: int = 1,
        fsync: bool = True,
        max_bytes: int = 10 * 1024**3,
        queue_bytes: int = QUEUE_BYTES,
        topics: Sequence[Topic] = TOPICS,
        prefix: str = "",
        readers: Collection[str] | None = None,
    ) -> None:
        self._path = folder / "bus.sqlite"
        make_writable(folder)
        check_writable([self._path, folder / "bus.sqlite-wal", folder / "write_turn", folder / "wake"])
        self._topics = {topic.name: topic for topic in topics}
        self._prefix = prefix
        self._max_bytes = max_bytes
        self._queue_bytes = queue_bytes
        self._turn = WriteTurn(folder / "write_turn")
        self.trouble = ""
        """Why the log cannot be written now; empty where it can."""
        self._open(fsync, topics, partitions)
        self._clock = BusClock(log.read_clock(self._connection))
        BUS_CLOCK_AHEAD.set_function(self._clock.ahead_seconds)
        self._held = log.held_bytes(self._connection)
        self._groups = set(readers or ())
        self._retains = readers is None or bool(readers)
        self._begun = 0.0
        self._queue = WriteQueue()
        self._appended = threading.Condition()
        self._generation = 0
        self._backlog = Backlog(self._path)
        self._others = WakeUps(folder / "wake", self._announce)
        self._writer = threading.Thread(target=self._run, name="bus-writer", daemon=True)
        self._writer.start()

    # --- the protocol ---

    def publish(self, records: Sequence[Outgoing]) -> Future[None]:
        """Append records together; see `Bus.publish`."""
        done: Future[None] = Future()
        if self._held > self._max_bytes:
            done.set_exception(BusUnavailable(f"the bus holds {self._held} bytes that are still to be read", 5.0))
            return done
        if self._queue.size > self._queue_bytes:
            done.set_exception(BusUnavailable(f"{self._queue.size} bytes already wait to be written to the bus", 1.0))
            return done
        self.write(Write(done, records))
        return done

    def consumer(self, group: str, topics: Sequence[str]) -> EmbeddedConsumer:
        """Join a group; see `Bus.consumer`. An older member of the group is fenced."""
        self._others.listen()
        connection = log.connect(self._path)
        assigned = [(topic, part) for topic in topics for part in range(self.partitions(topic))]
        with self._turn:
            connection.execute("BEGIN IMMEDIATE")
            epoch = log.take_over(connection, group)
            log.begin_offsets(connection, group, assigned)
            connection.execute("COMMIT")
        self._groups.add(group)
        return EmbeddedConsumer(self, group, epoch, assigned, connection, self._path)

    def tasks(
        self,
        group: str,
        topics: Sequence[str],
        everywhere: bool = False,  # noqa: ARG002  # it is
        at_least_once: bool = False,  # noqa: ARG002  # a transaction costs nothing here
    ) -> WholeGroup:
        """Join a group; see `Bus.tasks`."""
        return WholeGroup(lambda: self.consumer(group, topics))

    def reader(self, topics: Sequence[str]) -> EmbeddedConsumer:
        """Read without a group; see `Bus.reader`."""
        self._others.listen()
        connection = log.connect(self._path)
        assigned = [(topic, part) for topic in topics for part in range(self.partitions(topic))]
        heads = log.read_heads(connection)
        consumer = EmbeddedConsumer(self, "", 0, assigned, connection, self._path)
        for topic, part in assigned:
            consumer.seek(topic, part, heads[topic, part].next_offset)
        return consumer

    def committed(self, group: str) -> dict[tuple[str, int], int]:
        """Give the next offset a group reads, by topic and partition: what is before it was handled."""
        connection = log.connect(self._path)
        try:
            return log.read_offsets(connection, group)
        except sqlite3.Error as error:
            raise sorted_error(error, self._path) from error
        finally:
            connection.close()

    def partitions(self, topic: str) -> int:
        """Say how many partitions a topic has."""
        return self._partitions[topic]

    def max_record_bytes(self, topic: str) -> int:  # noqa: ARG002  # the same for all
        """Say how large the value of a record may be."""
        return MAX_RECORD_BYTES

    def now_ns(self) -> int:
        """Bus time now."""
        return self._clock.now_ns()

    def backlog_bytes(self) -> int:
        """Estimate what is still to be read; see `Bus.backlog_bytes`."""
        return self._backlog.unread_bytes(self._groups)

    def drained_bytes_a_second(self) -> float:
        """Say how fast it is read; see `Bus.drained_bytes_a_second`."""
        return self._backlog.drained_bytes_a_second()

    def held_bytes(self) -> int:
        """Say what the log holds, read or not."""
        return self._held

    def retain_for(self, readers: Collection[str]) -> None:
        """Remove from now on what these groups, of whatever process, and those that joined here have all read."""
        self._groups.update(readers)
        self._retains = True

    def close(self) -> None:
        """Write what was accepted, then close the file."""
        self._queue.close()
        self._writer.join()
        self._others.close()
        self._connection.close()
        self._backlog.close()
        self._turn.close()

    # --- for consumers ---

    def write(self, write: Write) -> None:
        """Queue a write."""
        self._queue.put(write)

    def generation(self) -> int:
        """Count the appends so far; a change means that there may be something new to read."""
        return self._generation

    def wait_for_append(self, since: int, timeout_seconds: float) -> None:
        """Wait until something was appended after generation `since`, or the time is over."""
        with self._appended:
            self._appended.wait_for(lambda: self._generation != since or self._queue.closing, timeout_seconds)

    # --- the writer thread ---

    def _open(self, fsync: bool, topics: Sequence[Topic], partitions: int) -> None:
        """Open the log and make its topics; raises BusUnavailable, or LogDamaged, with what to do."""
        try:
            self._connection = log.connect(self._path, fsync)
            self._partitions = self._transact(
                lambda: {topic.name: log.create_topic(self._connection, topic.name, partitions) for topic in topics}
            )
            dropped = self._transact(lambda: log.drop_other_state(self._connection, protocol.STATE_VERSION))
        except sqlite3.Error as error:
            raise sorted_error(error, self._path) from error
        for group, records in dropped.items():
            STATE_DROPPED.labels(stage=group).inc(records)

    def _run(self) -> None:
        next_retention = time.monotonic() + RETENTION_EVERY_SECONDS
        while True:
            crowded = self._retains and self._held > self._max_bytes
            wait = RETENTION_AGAIN_SECONDS if crowded else next_retention - time.monotonic()
            writes = self._queue.take(PROBE_SECONDS if self.trouble else max(0.0, wait), self._begun)
            if writes:
                self._commit(writes)
            elif self._queue.closing and not self._queue:
                return
            elif self.trouble:
                self._probe()
            if time.monotonic() >= next_retention or self._held > self._max_bytes:
                removed = self._retains and self._retain()
                pause = RETENTION_AGAIN_SECONDS if removed else RETENTION_EVERY_SECONDS
                next_retention = time.monotonic() + pause

    def _commit(self, writes: Sequence[Write]) -> None:
        """Commit writes in one transaction; where that fails none of them happened, and each future says so."""
        try:
            packed = [[log.pack(record, self._partition(record)) for record in write.records] for write in writes]
            self._begun = time.monotonic()
            failures = self._transact(lambda: self._write_all(writes, packed))
        except sqlite3.Error as error:
            failed = sorted_error(error, self._path)
            self.trouble = str(failed)
            self._fail(writes, failed)
        except Exception as error:  # noqa: BLE001  # one write that cannot be written must not end the writer for all
            self._commit_apart(writes, error)
        else:
            self.trouble = ""
            for write, failure in zip(writes, failures, strict=True):
                if failure is None:
                    write.done.set_result(None)
                else:
                    write.done.set_exception(failure)
            if any(write.records for write in writes):
                self._announce()
                self._others.announce()

    def _probe(self) -> None:
        """See whether what could not be written can be now, also while nobody dares to send."""
        try:
            self._transact(lambda: log.write_clock(self._connection, self.now_ns()))
        except sqlite3.Error as error:
            self.trouble = str(sorted_error(error, self._path))
        else:
            self.trouble = ""

    def _commit_apart(self, writes: Sequence[Write], error: Exception) -> None:
        """Commit each by itself, so that only the one at fault fails."""
        if len(writes) == 1:
            self._fail(writes, error)
            return
        for write in writes:
            self._commit([write])

    def _fail(self, writes: Sequence[Write], error: Exception) -> None:
        for write in writes:
            write.done.set_exception(error)

    def _announce(self) -> None:
        with self._appended:
            self._generation += 1
            self._appended.notify_all()

    def _transact(self, body: Callable[[], T]) -> T:
        with self._turn:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                result = body()
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            return result

    def _write_all(self, writes: Sequence[Write], packed: Sequence[Sequence[Packed]]) -> list[Fenced | None]:
        now_ns = max(self.now_ns(), log.read_clock(self._connection))
        heads: dict[tuple[str, int], Head] = {}
        failures = [self._write_one(*one, heads, now_ns) for one in zip(writes, packed, strict=True)]
        log.write_heads(self._connection, heads)
        log.write_clock(self._connection, now_ns)
        self._held = log.held_bytes(self._connection)
        return failures

    def _write_one(
        self, write: Write, packed: Sequence[Packed], heads: dict[tuple[str, int], Head], now_ns: int
    ) -> Fenced | None:
        if write.group is not None and log.epoch(self._connection, write.group) != write.epoch:
            return Fenced(f"another member of the group {write.group} took over")
        for one in packed:
            head = heads.get(one.place) or log.read_head(self._connection, one.place)
            log.append(self._connection, one, head.next_offset, now_ns)
            heads[one.place] = Head(head.next_offset + 1, head.size + len(one.value))
        if write.group is not None:
            log.change_state(self._connection, write.group, write.changes)
            log.write_offsets(self._connection, write.group, write.offsets)
        return None

    def _partition(self, record: Outgoing) -> int:
        if record.partition is not None:
            return record.partition
        return partition_of(record.key, self._partitions[record.topic])

    def _retain(self) -> bool:
        """Remove what need not be kept any more; returns whether there was any."""
        try:
            kept = self._transact(
                lambda: retention.retain(self._connection, self._topics, self._groups, self.now_ns(), self._max_bytes)
            )
        except sqlite3.Error:
            # Nothing is lost by keeping records longer; the next round tries again and a full disk shows in publish.
            return False
        self._held = kept.held
        return kept.removed
