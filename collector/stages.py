"""A thread for each group: it works the tasks that are this member's, each with a stage of its own.

Where there are several it has a few hands: a task is in one of them at a time, and all are back between two rounds.

On the embedded bus a group is one task. On Kafka it has one for each partition number; which of them are here changes
as members come and go, and a task that goes is left at a commit. Being fenced means "stop": of one task where the
group's work is shared out, else of the whole program, for another one has the data.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor

from collector.bus.protocol import Bus, Delivery, Fenced, Stage, Tasks
from collector.deliveries import DeliveryTask
from collector.memory_shares import LARGEST_BATCH_BYTES, LARGEST_WORK_BYTES
from collector.poison import DEFAULT_LIMIT, PoisonLimit, TooMuchPoison
from collector.stage_task import StageTask, pause_seconds
from schemas.metrics import STAGE_LAG

POLL_SECONDS = 0.25
AT_A_TIME = 4
"""How many tasks of a group are worked beside one another: most of their time they wait for commits."""
BUSY_SECONDS = 0.05
"""How long is waited for records while a stage has something under way whose end it has to see."""
SHARING_SECONDS = 0.02
"""How often it is looked whether tasks have been shared out."""

STARTING, RUNNING, FAILING, STOPPED, FENCED, FAILED = "starting", "running", "failing", "stopped", "fenced", "failed"
DEGRADED = "degraded"
"""What health calls a stage that runs while somebody has to look after something."""
POISONED = "poisoned"
"""Stopped by itself, while the other stages go on; see `collector/poison.py`."""


class StageThread:
    """The stages of one group in a thread. `status` and `error` are what health shows.

    `make` makes a stage; each task gets one.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Stage | Delivery],
        bus: Bus,
        on_fenced: Callable[[str], None],
        max_bytes: int = LARGEST_BATCH_BYTES,
        max_poison: int = DEFAULT_LIMIT,
    ) -> None:
        self.name = name
        self.status = STARTING
        self.error = ""
        self._make = make
        self._spare: Stage | Delivery | None = make()
        """A stage that no task has yet; the first one also says what the group reads."""
        self._group, self._topics = self._spare.group, self._spare.topics
        self._everywhere = bool(getattr(self._spare, "everywhere", False))
        self._at_least_once = bool(getattr(self._spare, "at_least_once", False))
        delivers = hasattr(self._spare, "deliver")
        self._task: Callable[..., StageTask] = DeliveryTask if delivers else StageTask
        self._poison = PoisonLimit(self._group, max_poison)
        self._bus = bus
        self._on_fenced = on_fenced
        self._max_bytes = max_bytes if delivers else min(max_bytes, LARGEST_WORK_BYTES)
        self._tasks: dict[int, StageTask] = {}
        self._members: Tasks | None = None
        self._failures = 0
        self._pool = ThreadPoolExecutor(AT_A_TIME, f"tasks-{self._group}")
        self._stop = threading.Event()
        self._finish = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"stage-{self._group}", daemon=True)

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

    def progress(self) -> str:
        """Say what a task that is not begun yet waits for; empty where nothing does."""
        return self._members.progress() if self._members is not None else ""

    def note(self) -> str:
        """Say what a task does without that is well all the same; empty where none does."""
        return next(filter(None, (task.note for task in list(self._tasks.values()))), "")

    def degraded(self) -> str:
        """Say what somebody has to look after while all tasks go on; empty where nothing is."""
        return next(filter(None, (task.degraded for task in list(self._tasks.values()))), "")

    def _run(self) -> None:
        try:
            self._members = self._bus.tasks(self._group, self._topics, self._everywhere, self._at_least_once)
            while not self._stop.is_set():
                finishing = self._finish.is_set()
                self._turn(self._members)
                if (
                    finishing
                    and self.status == RUNNING
                    and not any(task.behind or task.busy for task in self._tasks.values())
                ):
                    break
            self.status = STOPPED
        except Fenced as error:
            self.status, self.error = FENCED, str(error)
            self._on_fenced(str(error))
        except TooMuchPoison as error:
            self.status, self.error = POISONED, str(error)
        except Exception as error:  # noqa: BLE001  # nothing above a thread would see it
            self.status, self.error = FAILED, f"{type(error).__name__}: {error}"
            self._on_fenced(f"{self.name} failed: {self.error}")
        finally:
            self._end()

    def _turn(self, members: Tasks) -> None:
        """Take up and let go of tasks, then work each of them once."""
        mine = members.mine()
        if mine is None:
            self._stop.wait(SHARING_SECONDS)
            return
        self._let_go(set(self._tasks) - set(mine))
        if not self._take_up(members, [number for number in mine if number not in self._tasks]):
            self._stop.wait(pause_seconds(self._failures))
            return
        self._show_status()
        self._work(members)
        self._show_status()

    def _work(self, members: Tasks) -> None:
        alone = len(self._tasks) == 1
        left = {number: task.pause_left() for number, task in self._tasks.items()}
        if not alone:
            left = {number: max(pause, self._tasks[number].rest_left()) for number, pause in left.items()}
        ready = [number for number, seconds in left.items() if seconds <= 0]
        if not ready:
            self._stop.wait(max(0.0, min([POLL_SECONDS, *left.values()])))
            return
        if not alone or self._finish.is_set():
            behind = any(self._tasks[number].behind for number in ready)
            resting = [seconds for seconds in left.values() if seconds > 0]
            members.wait(0.0 if behind else min([self._patience(), *resting]))
        if alone:
            self._rounds(members, [self._round(ready[0], self._patience())])
        else:
            self._rounds(members, self._pool.map(self._round, ready))

    def _round(self, number: int, timeout_seconds: float = 0.0) -> tuple[int, Fenced | None]:
        """Work a task once; says whether it was fenced."""
        try:
            self._tasks[number].round(timeout_seconds)
        except Fenced as error:
            return number, error
        return number, None

    def _rounds(self, members: Tasks, done: Iterable[tuple[int, Fenced | None]]) -> None:
        fenced = [(number, error) for number, error in done if error is not None]
        for number, error in fenced:
            if not members.shared:
                raise error
            self._let_go([number])

    def _patience(self) -> float:
        """Say how long to wait for something to read."""
        if any(task.busy for task in self._tasks.values()):
            return BUSY_SECONDS
        return 0.0 if self._finish.is_set() else POLL_SECONDS

    def _take_up(self, members: Tasks, numbers: Collection[int]) -> bool:
        """Begin tasks; returns whether all have begun. What fails before anything ever ran is for `_run` to tell."""
        try:
            for number, consumer in members.begin(numbers).items() if numbers else ():
                stage, self._spare = self._spare or self._make(), None
                task = self._task(stage, consumer, self._finish.is_set, self._show_lag, self._poison, self._max_bytes)
                self._tasks[number] = task
            for number in numbers:
                self._tasks[number].begin()
        except Exception as error:
            self._let_go([number for number in numbers if number in self._tasks])
            if self.status == STARTING or (isinstance(error, Fenced) and not members.shared):
                raise
            self._failures += 1
            self.status, self.error = FAILING, f"{type(error).__name__}: {error}"
            return False
        self._failures = 0
        return True

    def _let_go(self, numbers: Collection[int]) -> None:
        for number in numbers:
            self._tasks.pop(number).close()
            self._show_lag()

    def _show_status(self) -> None:
        errors = [task.error for task in self._tasks.values() if task.error]
        self.status, self.error = (FAILING, errors[0]) if errors else (RUNNING, "")

    def _show_lag(self) -> None:
        lags: Counter[str] = Counter(dict.fromkeys(self._topics, 0))
        for task in self._tasks.values():
            lags.update(task.lag)
        for topic, records in lags.items():
            STAGE_LAG.labels(stage=self._group, topic=topic).set(records)

    def _end(self) -> None:
        self._let_go(list(self._tasks))
        self._pool.shutdown()
        if self._members is not None:
            self._members.close()
