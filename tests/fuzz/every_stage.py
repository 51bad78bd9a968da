"""Every stage of a pipeline one after the other, without a bus, down to rows in a real store.

A record that a stage cannot handle, and does not put aside, would come to it again for ever: here it raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import orjson
from memory_state import MemoryState

from collector.bus.protocol import Batch, Delivery, Handled, Outgoing, Record, Stage
from collector.components import detector_class, detector_names, registry
from collector.normalise.normaliser import Normaliser
from healing.consumer import HealingConsumer
from healing.gate import GateSettings
from healing.policy_board import PolicyBoard
from healing.router import HealingRouter
from processors.meaning.static_embedder import StaticEmbedder
from processors.runtime import Runtime
from processors.spending.budgets import Budgets
from processors.spending.model_catalogue import PricedModels
from processors.spending.spend import SpendStage
from processors.spending.usage import Biller
from schemas.topics import DEAD_LETTERS, OTLP_LOGS, OTLP_METRICS, OTLP_SPANS
from sinks.clickhouse import ClickHouseSink
from sinks.store import Store

SECOND = 1_000_000_000
BUDGETS = Budgets(run_usd=0.01, agent_hour_usd=0.02, tenant_day_usd=0.03)
MOST_ROUNDS = 30
"""Stages hand on to one another; what goes round for longer never ends."""
BEYOND_THE_STORE = b"is outside of what the store can date"
FROM_CLIENTS = (OTLP_SPANS, OTLP_LOGS, OTLP_METRICS)


EMBEDDER = StaticEmbedder()


class Fed(NamedTuple):
    """A stage, its state, and how far it has read."""

    stage: Stage | Delivery
    state: MemoryState
    read: list[int]


class EveryStage:
    """The stages of a pipeline with one log between them. `now_ns` is bus time."""

    def __init__(self, store: Store, now_ns: int) -> None:
        self.now_ns = now_ns
        self.log: list[Record] = []
        made: list[Stage | Delivery] = [*_stages(lambda: self.now_ns), ClickHouseSink(lambda: store)]
        self._fed = [Fed(stage, MemoryState(), [0]) for stage in made]
        for one in self._fed:
            one.stage.restore(one.state)

    def send(self, records: Iterable[tuple[str, bytes]]) -> None:
        """Hand records over as one batch, and let the stages work until none has anything left."""
        for topic, value in records:
            self._append(Outgoing(topic, "", value, {}))
        self._settle()

    def wait(self, seconds: float) -> None:
        """Let bus time pass, and the stages do what is due."""
        self.now_ns += int(seconds * SECOND)
        for one in self._fed:
            self._handle(one, [])
        self._settle()

    def _settle(self) -> None:
        for _ in range(MOST_ROUNDS):
            if sum(self._read(one) for one in self._fed) == 0:
                return
        raise AssertionError("the stages never come to rest")

    def _read(self, one: Fed) -> bool:
        records = [record for record in self.log[one.read[0] :] if record.topic in one.stage.topics]
        one.read[0] = len(self.log)
        if records:
            self._handle(one, records)
        return bool(records)

    def _handle(self, one: Fed, records: list[Record]) -> None:
        batch = Batch(records, self.now_ns)
        handled = self._done(one, batch)
        one.state.apply(handled.changes)
        for out in handled.outputs:
            self._append(out)

    def _done(self, one: Fed, batch: Batch) -> Handled:
        if isinstance(one.stage, ClickHouseSink):
            if not batch.records:
                return Handled([], [])
            return one.stage.deliver(batch, str(len(self.log)), again=False)
        return one.stage.handle(batch, one.state)  # type: ignore[union-attr]  # all others are stages

    def _append(self, out: Outgoing) -> None:
        self.log.append(Record(out.topic, 0, len(self.log), out.key, out.value, dict(out.headers), self.now_ns))

    def put_aside(self) -> list[str]:
        """Say why any of our own records was put aside: nobody but us writes those, so none should be.

        What a client dates beyond what the store can date (2262) is its own doing, also where a detection tells of it.
        """
        dead = [record.headers for record in self.log if record.topic == DEAD_LETTERS]
        ours = [one for one in dead if one["original-topic"].decode() not in FROM_CLIENTS]
        return [one["error-text"].decode() for one in ours if not one["error-text"].endswith(BEYOND_THE_STORE)]

    def documents(self, topic: str) -> list[object]:
        """Read the JSON documents of a topic."""
        return [orjson.loads(record.value) for record in self.log if record.topic == topic]


def _stages(now_ns: Callable[[], int]) -> list[Stage]:
    models = PricedModels({})
    settings = registry()["processors"]
    detectors = [detector_class(name)(settings[name](), models, EMBEDDER) for name in detector_names()]
    runtime = Runtime("processors", detectors, now_ns, Biller(models), 300, 3600, 60, 1000)
    consumer = HealingConsumer(GateSettings(dry_run=False, min_confidence=0.0, max_age_seconds=10**9))
    return [Normaliser(), runtime, SpendStage(BUDGETS, now_ns), HealingRouter(), consumer, PolicyBoard()]
