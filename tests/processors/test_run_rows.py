"""A long run is stored as rows: few are written anew, none is left behind, and cutting the stream changes nothing."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from memory_state import MemoryState

from collector.bus.protocol import Batch, Record, StateChange
from collector.components import detector_class, detector_names
from processors.detector import AnyDetector
from processors.meaning.static_embedder import StaticEmbedder
from processors.runs.keyed_state import STORE, WINDOWS
from processors.runs.window import SNAPSHOT_EVERY
from processors.runtime import Runtime
from processors.spending.model_catalogue import PricedModels
from schemas.step import TOOL, Step
from schemas.steps_codec import encode_steps
from schemas.topics import AGENT_STEPS

LATENESS_STEPS = 200
STEPS, BATCH = 700, 50
SECOND = 1_000_000_000
START_NS = 1_800_000_000 * SECOND


EMBEDDER = StaticEmbedder()


def step(number: int) -> Step:
    """Make a tool call; a few in the middle are the same, so that something is found."""
    return Step(
        tenant="default",
        run_id="run",
        trace_id="run",
        span_id=f"{number:016x}",
        kind=TOOL,
        start_ns=START_NS + number * SECOND // 100,
        end_ns=START_NS + number * SECOND // 100 + 1_000,
        tool="search",
        args=f'{{"q":"{"same" if 300 < number < 312 else number}"}}',
        args_hash="same" if 300 < number < 312 else str(number),
        result="nothing" if 300 < number < 312 else f"result {number}",
        result_hash="same" if 300 < number < 312 else str(number),
    )


def nearly_in_order(seed: int) -> list[Step]:
    """Give all steps, each no more than a hundred places from where it belongs."""
    chance = random.Random(seed)  # noqa: S311  # no secret
    return sorted(map(step, range(STEPS)), key=lambda one: one.start_ns + chance.randrange(SECOND))


class Stored:
    """A runtime over committed rows, with what it wrote and told."""

    def __init__(self) -> None:
        self.state = MemoryState()
        self.written: list[Sequence[StateChange]] = []
        self.told: list[Any] = []
        self._offset = 0
        self.restart()

    def restart(self, *versions: str) -> None:
        detectors: list[AnyDetector] = [
            detector_class(name)(detector_class(name).Config(), PricedModels(), EMBEDDER) for name in detector_names()
        ]
        for detector, version in zip(detectors, versions, strict=False):
            detector.version = version  # type: ignore[misc]  # on this one, not on its class
        self.runtime = Runtime("d", detectors, lambda: START_NS, lateness_steps=LATENESS_STEPS)
        self.runtime.restore(self.state)

    def send(self, steps: Sequence[Step]) -> None:
        record = Record(AGENT_STEPS, 0, self._offset, "default/run", encode_steps(steps), {}, START_NS + self._offset)
        self._offset += 1
        self._take(self.runtime.handle(Batch([record], START_NS + self._offset), self.state))

    def end(self) -> None:
        later = START_NS + 10_000 * SECOND
        self._take(self.runtime.handle(Batch((), later), self.state))

    def _take(self, handled: Any) -> None:
        self.state.apply(handled.changes)
        self.written.append(handled.changes)
        self.told += [(out.topic, out.key, len(out.value)) for out in handled.outputs]

    def windows(self) -> list[tuple[str, bytes]]:
        return list(self.state.scan(WINDOWS))

    def rows(self, store: str) -> int:
        return self.state.count(store)


def driven(steps: Sequence[Step], *, restarts: bool) -> Stored:
    stored = Stored()
    for at in range(0, len(steps), BATCH):
        stored.send(steps[at : at + BATCH])
        if restarts:
            stored.restart()
    return stored


def test_cutting_a_long_run_after_every_batch_changes_nothing() -> None:
    for seed in range(3):
        steps = nearly_in_order(seed)
        whole, cut = driven(steps, restarts=False), driven(steps, restarts=True)
        assert cut.told == whole.told
        assert cut.told
        assert cut.windows() == whole.windows()


def test_a_run_in_order_writes_its_last_rows_only() -> None:
    stored = driven([step(number) for number in range(STEPS)], restarts=False)
    most = -(-BATCH // SNAPSHOT_EVERY) + 1  # those it adds to
    for changes in stored.written:
        written = [change for change in changes if change.store == WINDOWS and change.value is not None]
        assert len([change for change in written if not change.key.endswith("/base")]) <= most


def test_what_left_the_window_is_deleted_and_so_is_all_of_a_run_that_ended() -> None:
    stored = driven(nearly_in_order(7), restarts=True)
    assert stored.rows(WINDOWS) <= LATENESS_STEPS // SNAPSHOT_EVERY + 3
    stored.end()
    assert (stored.rows(STORE), stored.rows(WINDOWS)) == (0, 0)


def test_rows_that_another_version_wrote_are_not_mixed_in_and_not_left_behind() -> None:
    stored = driven([step(number) for number in range(STEPS)], restarts=False)
    stored.restart("of another time")
    stored.send([step(STEPS)])
    assert stored.rows(WINDOWS) == 2  # the folds, and one row of one step
