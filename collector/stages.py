"""Drives a stage: poll, handle, commit, over and over, and what happens when one of them fails.

A failure means "later": the stage goes back to its last commit and tries again with growing pauses, first with the
same batch, then record by record, so that one record which makes a stage raise every time is found, dead-lettered
and passed. Being fenced means "stop".
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from collector.bus.dead_letters import dead_letter
from collector.bus.protocol import Batch, Bus, BusUnavailable, Consumer, Fenced, Handled, Stage
from schemas.metrics import STAGE_FAILURES, STAGE_LAG

POLL_SECONDS = 0.25
LAG_EVERY_SECONDS = 0.5
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 15.0
TRIES_PER_RECORD = 3

STARTING, RUNNING, FAILING, STOPPED, FENCED, FAILED = "starting", "running", "failing", "stopped", "fenced", "failed"


class StageThread:
    """One stage in a thread of its own. `status` and `error` are what health shows."""

    def __init__(
        self, name: str, stage: Stage, bus: Bus, on_fenced: Callable[[str], None], max_records: int = 500
    ) -> None:
        self.name = name
        self.stage = stage
        self.status = STARTING
        self.error = ""
        self._bus = bus
        self._on_fenced = on_fenced
        self._max_records = max_records
        self._failures = 0
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
        self.stage.restore(consumer.state)
        self._show_lag(consumer)
        self.status = RUNNING

    def _end(self) -> None:
        """Let go of what the stage holds beside its state."""

    def _round(self, consumer: Consumer) -> None:
        limit = 1 if self._failures > 1 else self._max_records
        batch = Batch((), 0)
        try:
            batch = self._poll(consumer, limit)
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
            self.status, self.error = RUNNING, ""

    def _failed(self, consumer: Consumer, batch: Batch, error: Exception) -> None:
        self._failures += 1
        self.status, self.error = FAILING, f"{type(error).__name__}: {error}"
        STAGE_FAILURES.labels(stage=self.stage.group, error=type(error).__name__).inc()
        poison = self._failures > TRIES_PER_RECORD and len(batch.records) == 1 and not isinstance(error, BusUnavailable)
        if poison and not getattr(error, "later", False):
            self._give_up(consumer, batch, error)
            self._failures = 0
        consumer.rewind()
        self.stage.restore(consumer.state)
        self._stop.wait(min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(self._failures, 12)))

    def _poll(self, consumer: Consumer, limit: int) -> Batch:
        return consumer.poll(limit, timeout_seconds=self._patience())

    def _patience(self) -> float:
        """Say how long to wait for something to read."""
        return 0.0 if self._finish.is_set() else POLL_SECONDS

    def _handle(self, batch: Batch, consumer: Consumer) -> Handled:
        return self.stage.handle(batch, consumer.state)

    def _give_up(self, consumer: Consumer, batch: Batch, error: Exception) -> None:
        """Pass a record that can never be handled."""
        consumer.commit([dead_letter(batch.records[0], error, self.stage.group)])

    def _show_lag_if_due(self, consumer: Consumer) -> None:
        """Show the lag every now and then, and before a batch is handled where none was shown."""
        if time.monotonic() - self._lag_shown >= LAG_EVERY_SECONDS or (self._behind and not self._lag):
            self._show_lag(consumer)

    def _show_lag(self, consumer: Consumer) -> None:
        lag = consumer.lag()
        for topic, records in lag.items():
            STAGE_LAG.labels(stage=self.stage.group, topic=topic).set(records)
        self._lag, self._lag_shown = sum(lag.values()), time.monotonic()
