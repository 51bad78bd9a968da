"""Works a stage on one task of its group: poll, handle, commit, and what happens when one of them fails.

A failure means "later": the stage goes back to its last commit and tries again after growing pauses, first with the
same batch, then with ever smaller ones, so that one record which makes a stage raise every time is found,
dead-lettered and passed.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence

from collector.bus.dead_letters import dead_letter
from collector.bus.protocol import Batch, BusUnavailable, Consumer, Fenced, Handled, Stage, StateChange
from collector.memory_shares import LARGEST_BATCH_BYTES
from collector.poison import PoisonLimit, TooMuchPoison
from schemas.metrics import STAGE_FAILURES
from schemas.topics import REPLAY_FOR_HEADER

LAG_EVERY_SECONDS = 0.5
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 15.0
GATHER_SECONDS = 0.1
"""How long after it last had something to do a task that is one of several is left to gather more."""
TRIES = 3
"""How often a batch fails before it is made smaller, and one record before it is given up."""


class StageTask:
    """A stage of its own for one task. `behind`: whether the last poll found anything; `error` is empty when well.

    `is_finishing` says whether it is to wait for nothing; `on_lag` is called when `lag` is new; `poison` is
    the group's.
    """

    def __init__(
        self,
        stage: Stage,
        consumer: Consumer,
        is_finishing: Callable[[], bool],
        on_lag: Callable[[], None],
        poison: PoisonLimit,
        max_bytes: int = LARGEST_BATCH_BYTES,
        max_records: int = 500,
    ) -> None:
        self.stage = stage
        self.consumer = consumer
        self.error = ""
        self.behind = True
        self.lag: Mapping[str, int] = {}
        self._is_finishing = is_finishing
        self._on_lag = on_lag
        self._poison = poison
        self._max_bytes = max_bytes
        self._max_records = max_records
        self._limit = max_records
        self._failures = 0
        self._astray = False
        """Whether what the stage holds in memory may be ahead of its last commit."""
        self._not_before = 0.0
        self._worked = float("-inf")
        self._lag_shown = 0.0

    @property
    def busy(self) -> bool:
        """Say whether the stage has something under way besides its batches, which stopping now would lose."""
        return bool(getattr(self.stage, "busy", False))

    @property
    def note(self) -> str:
        """Say what a stage that is well does without, where it says so."""
        return str(getattr(self.stage, "note", ""))

    @property
    def degraded(self) -> str:
        """Say what somebody has to look after while the stage goes on, where it says so."""
        return str(getattr(self.stage, "degraded", ""))

    def begin(self) -> None:
        """Start from the committed state; a stage that may start without what it writes to looks for it later."""
        try:
            self.stage.restore(self.consumer.state)
        except Exception as error:
            if not getattr(error, "starts_without", False):
                raise
            self._astray = True
            self._show_failure(error)
        self._show_lag()

    def close(self) -> None:
        """Let go of the task, and of what the stage holds beside its state."""
        self.consumer.close()

    def pause_left(self) -> float:
        """Say for how many seconds this is left alone after a failure."""
        return self._not_before - time.monotonic()

    def rest_left(self) -> float:
        """Say for how many seconds more may gather for this since it was at work: a commit of more costs no more."""
        return 0.0 if self._is_finishing() else self._worked + GATHER_SECONDS - time.monotonic()

    def round(self, timeout_seconds: float) -> None:
        """Poll, handle and commit once; raises Fenced, TooMuchPoison and nothing else."""
        batch = Batch((), 0)
        try:
            self._recover()
            batch = self._poll(self._limit, timeout_seconds)
            self.behind = bool(batch.records)
            self._worked = time.monotonic() if self.behind else self._worked
            self._show_lag_if_due()
            handled = self._handle(self._meant_for_us(batch))
            self._poison.check(handled.outputs)
            self.consumer.commit(handled.outputs, handled.changes)
        except (Fenced, TooMuchPoison):
            raise
        except Exception as error:  # noqa: BLE001  # the consume loop is where every failure ends up, counted and shown
            self._failed(batch, error)
        else:
            self._failures = 0
            self._limit = min(self._max_records, self._limit * 2)
            self.error = ""

    def _recover(self) -> None:
        """Go back to the last commit after a failure; where that fails too, the next round tries again."""
        if self._astray:
            self.consumer.rewind()
            self.stage.restore(self.consumer.state)
            self._astray = False

    def _failed(self, batch: Batch, error: Exception) -> None:
        self._astray = True
        self._failures += 1
        self._show_failure(error)
        if self._failures >= TRIES and batch.records and not _comes_right(error):
            try:
                self._isolate(batch, error)
                self._failures = 1
            except (Fenced, TooMuchPoison):
                raise
            except Exception as worse:  # noqa: BLE001  # as in `round`
                self._show_failure(worse)
        self._not_before = time.monotonic() + pause_seconds(self._failures)

    def _show_failure(self, error: Exception) -> None:
        self.error = f"{type(error).__name__}: {error}"
        STAGE_FAILURES.labels(stage=self.stage.group, error=type(error).__name__).inc()

    def _poll(self, limit: int, timeout_seconds: float) -> Batch:
        return self.consumer.poll(limit, self._max_bytes, timeout_seconds)

    def _handle(self, batch: Batch) -> Handled:
        return self.stage.handle(batch, self.consumer.state)

    def _meant_for_us(self, batch: Batch) -> Batch:
        """Pass over records that were put back for another stage."""
        ours = (None, self.stage.group.encode())
        kept = [record for record in batch.records if record.headers.get(REPLAY_FOR_HEADER) in ours]
        return batch if len(kept) == len(batch.records) else Batch(kept, batch.now_ns)

    def _isolate(self, batch: Batch, error: Exception) -> None:
        """Come closer to the record at fault: halve what is handled at once, or give up on a record that is alone."""
        if len(batch.records) == 1:
            self._give_up(batch, error)
        else:
            self._limit = max(1, len(batch.records) // 2)

    def _give_up(self, batch: Batch, error: Exception, changes: Sequence[StateChange] = ()) -> None:
        """Pass a record that can never be handled."""
        letter = dead_letter(batch.records[0], error, self.stage.group)
        self._poison.check([letter])
        self.consumer.commit([letter], changes)

    def _show_lag_if_due(self) -> None:
        """Show the lag every now and then, and before a batch is handled where none was shown."""
        if time.monotonic() - self._lag_shown >= LAG_EVERY_SECONDS or (self.behind and not any(self.lag.values())):
            self._show_lag()

    def _show_lag(self) -> None:
        self.lag, self._lag_shown = self.consumer.lag(), time.monotonic()
        self._on_lag()


def pause_seconds(failures: int) -> float:
    """Say how long to wait: ever longer, and not as long as others that failed at the same time."""
    longest: float = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(failures, 12))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  # no secret


def _comes_right(error: Exception) -> bool:
    """Say whether an error is one of the world around, which no record is to blame for."""
    return isinstance(error, (BusUnavailable, OSError, MemoryError, sqlite3.Error)) or bool(
        getattr(error, "later", False)
    )
