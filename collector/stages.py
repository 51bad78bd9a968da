"""Drives a stage: poll, handle, commit, over and over, and what happens when one of them fails.

A failure means "later": the stage goes back to its last commit and tries again with growing pauses, first with the
same batch, then with ever smaller ones, so that one record which makes a stage raise every time is found,
dead-lettered and passed. Being fenced means "stop".
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence

from collector.bus.dead_letters import dead_letter
from collector.bus.protocol import Batch, Bus, BusUnavailable, Consumer, Fenced, Handled, Stage, StateChange
from collector.memory_shares import LARGEST_BATCH_BYTES
from schemas.metrics import STAGE_FAILURES, STAGE_LAG

POLL_SECONDS = 0.25
LAG_EVERY_SECONDS = 0.5
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 15.0
TRIES = 3
"""How often a batch fails before it is made smaller, and one record before it is given up."""

STARTING, RUNNING, FAILING, STOPPED, FENCED, FAILED = "starting", "running", "failing", "stopped", "fenced", "failed"


class StageThread:
    """One stage in a thread of its own. `status` and `error` are what health shows."""

    def __init__(
        self,
        name: str,
        stage: Stage,
        bus: Bus,
        on_fenced: Callable[[str], None],
        max_bytes: int = LARGEST_BATCH_BYTES,
        max_records: int = 500,
    ) -> None:
        self.name = name
        self.stage = stage
        self.status = STARTING
        self.error = ""
        self._bus = bus
        self._on_fenced = on_fenced
        self._max_bytes = max_bytes
        self._max_records = max_records
        self._limit = max_records
        self._failures = 0
        self._astray = False
        """Whether what the stage holds in memory may be ahead of its last commit."""
        self._behind = True
        self._lag, self._lag_shown = 0, 0.0
        self._stop = threading.Event()
        self._finish = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"stage-{stage.group}", daemon=True)

    def start(self) -> None:
        """Join the group and begin."""
        self._thread.start()

    def finish(self) -> None:
        """Ask the stage to end once it finds nothing more to read."""
        self._finish.set()

    def stop(self) -> None:
        """Ask the stage to finish the batch it is at."""
        self._stop.set()

    def join(self, timeout_seconds: float) -> bool:
        """Wait for the end; returns whether it came in time."""
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        consumer = self._bus.consumer(self.stage.group, self.stage.topics)
        try:
            self._begin(consumer)
            while not self._stop.is_set():
                finishing = self._finish.is_set()
                self._round(consumer)
                if finishing and not self._behind and self.status == RUNNING:
                    break
            self.status = STOPPED
        except Fenced as error:
            self.status, self.error = FENCED, str(error)
            self._on_fenced(str(error))
        except Exception as error:  # noqa: BLE001  # nothing above a thread would see it
            self.status, self.error = FAILED, f"{type(error).__name__}: {error}"
            self._on_fenced(f"{self.name} failed: {self.error}")
        finally:
            self._end()
            consumer.close()

    def _begin(self, consumer: Consumer) -> None:
        """Read the state; a stage that may start without what it writes to does, and looks for it in each round."""
        try:
            self.stage.restore(consumer.state)
        except Exception as error:
            if not getattr(error, "starts_without", False):
                raise
            self._astray = True
            self._show_failure(error)
        self._show_lag(consumer)
        if not self._astray:
            self.status = RUNNING

    def _end(self) -> None:
        """Let go of what the stage holds beside its state."""

    def _round(self, consumer: Consumer) -> None:
        batch = Batch((), 0)
        try:
            self._recover(consumer)
            batch = self._poll(consumer, self._limit)
            self._behind = bool(batch.records)
            self._show_lag_if_due(consumer)
            handled = self._handle(batch, consumer)
            consumer.commit(handled.outputs, handled.changes)
        except Fenced:
            raise
        except Exception as error:  # noqa: BLE001  # the consume loop is where every failure ends up, counted and shown
            self._failed(consumer, batch, error)
        else:
            self._failures = 0
            self._limit = min(self._max_records, self._limit * 2)
            self.status, self.error = RUNNING, ""

    def _recover(self, consumer: Consumer) -> None:
        """Go back to the last commit after a failure; where that fails too, the next round tries again."""
        if self._astray:
            consumer.rewind()
            self.stage.restore(consumer.state)
            self._astray = False

    def _failed(self, consumer: Consumer, batch: Batch, error: Exception) -> None:
        self._astray = True
        self._failures += 1
        self._show_failure(error)
        if self._failures >= TRIES and batch.records and not _comes_right(error):
            try:
                self._isolate(consumer, batch, error)
                self._failures = 1
            except Fenced:
                raise
            except Exception as worse:  # noqa: BLE001  # as in `_round`
                self._show_failure(worse)
        self._stop.wait(_pause_seconds(self._failures))

    def _show_failure(self, error: Exception) -> None:
        self.status, self.error = FAILING, f"{type(error).__name__}: {error}"
        STAGE_FAILURES.labels(stage=self.stage.group, error=type(error).__name__).inc()

    def _poll(self, consumer: Consumer, limit: int) -> Batch:
        return consumer.poll(limit, self._max_bytes, self._patience())

    def _patience(self) -> float:
        """Say how long to wait for something to read."""
        return 0.0 if self._finish.is_set() else POLL_SECONDS

    def _handle(self, batch: Batch, consumer: Consumer) -> Handled:
        return self.stage.handle(batch, consumer.state)

    def _isolate(self, consumer: Consumer, batch: Batch, error: Exception) -> None:
        """Come closer to the record at fault: halve what is handled at once, or give up on a record that is alone."""
        if len(batch.records) == 1:
            self._give_up(consumer, batch, error)
        else:
            self._limit = max(1, len(batch.records) // 2)

    def _give_up(self, consumer: Consumer, batch: Batch, error: Exception, changes: Sequence[StateChange] = ()) -> None:
        """Pass a record that can never be handled."""
        consumer.commit([dead_letter(batch.records[0], error, self.stage.group)], changes)

    def _show_lag_if_due(self, consumer: Consumer) -> None:
        """Show the lag every now and then, and before a batch is handled where none was shown."""
        if time.monotonic() - self._lag_shown >= LAG_EVERY_SECONDS or (self._behind and not self._lag):
            self._show_lag(consumer)

    def _show_lag(self, consumer: Consumer) -> None:
        lag = consumer.lag()
        for topic, records in lag.items():
            STAGE_LAG.labels(stage=self.stage.group, topic=topic).set(records)
        self._lag, self._lag_shown = sum(lag.values()), time.monotonic()


def _pause_seconds(failures: int) -> float:
    """Say how long to wait: ever longer, and not as long as others that failed at the same time."""
    longest: float = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(failures, 12))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  # no secret


def _comes_right(error: Exception) -> bool:
    """Say whether an error is one of the world around, which no record is to blame for."""
    return isinstance(error, (BusUnavailable, OSError, MemoryError, sqlite3.Error)) or bool(
        getattr(error, "later", False)
    )
