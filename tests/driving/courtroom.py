"""The judge and the owner of its money on a real bus, driven step by step, so that a test can kill them anywhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from stage_member import StageMember

from collector.bus.embedded import EmbeddedBus
from collector.bus.protocol import Batch, Outgoing, Record
from collector.judging import read_back
from processors.judging.budget import JudgeBudgetStage
from processors.judging.calls import MessagesApi
from processors.judging.config import JudgeBudgets, JudgeConfig
from processors.judging.prices import JudgePrices
from processors.judging.reading import TAKEN
from processors.llm_judge import LlmJudgeStage
from processors.spending.model_catalogue import PricedModels
from schemas.topics import DETECTIONS, ESCALATIONS, USAGE
from schemas.usage import UsageRecord, decode_usage

PATIENCE_SECONDS = 60.0


class Courtroom:
    """The judge, the owner, and what is on the bus."""

    def __init__(self, folder: Path, url: str, **settings: Any) -> None:
        budgets, self._taken = settings.pop("budgets", JudgeBudgets()), settings.pop("taken", TAKEN)
        given = {"api_key": "sk-test", "base_url": url, "timeout_seconds": 20, **settings}
        self.config = JudgeConfig(budgets=budgets, **given)
        self.bus = EmbeddedBus(folder / "bus", fsync=False)
        prices = JudgePrices(PricedModels())
        self.pauses: list[float] = []
        self.judge = StageMember(self.bus, lambda: self._judge(prices))
        self.owner = StageMember(self.bus, lambda: JudgeBudgetStage(budgets))
        self._watch = self.bus.reader([DETECTIONS, ESCALATIONS, USAGE])
        for topic in (DETECTIONS, ESCALATIONS, USAGE):
            self._watch.seek(topic, 0, 0)
        self.seen: list[Record] = []

    def _judge(self, prices: JudgePrices) -> LlmJudgeStage:
        return LlmJudgeStage(
            self.config,
            prices,
            MessagesApi(self.config, self.pauses.append),
            self.bus.now_ns,
            32 << 20,
            partial(read_back, self.bus),
            self._taken,
        )

    def publish(self, records: Sequence[Outgoing]) -> None:
        self.bus.publish(records).result()

    def round(self) -> None:
        """Let both do what they can."""
        self.judge.step()
        self.owner.step()
        self.look()

    def until(self, true: Callable[[], bool]) -> None:
        """Go on until something holds."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not true():
            assert time.monotonic() < deadline, "it never came to hold"
            self.round()
            time.sleep(0.005)

    def settle(self) -> None:
        """Go on until no case is left and all is read."""
        self.until(lambda: self.cases() == 0 and not self.judge.stage.busy and self.read_all())  # type: ignore[attr-defined]

    def read_all(self) -> bool:
        return not any(self.judge.consumer.lag().values()) and not any(self.owner.consumer.lag().values())

    def cases(self) -> int:
        return self.judge.consumer.state.count("cases")

    def look(self) -> None:
        batch: Batch = self._watch.poll(10_000, timeout_seconds=0.0)
        self.seen += batch.records

    def versions(self, detection: str = "") -> list[dict[str, Any]]:
        """All versions published, by the version a reader would keep last."""
        self.look()
        found = [orjson.loads(record.value) for record in self.seen if record.topic == DETECTIONS]
        return sorted((one for one in found if detection in ("", one["id"])), key=lambda one: int(one["version"]))

    def latest(self, detection: str) -> dict[str, Any]:
        return self.versions(detection)[-1]

    def bills(self) -> list[UsageRecord]:
        self.look()
        return [decode_usage(record.value) for record in self.seen if record.topic == USAGE]

    def for_people(self) -> list[Record]:
        self.look()
        return [one for one in self.seen if one.topic == ESCALATIONS and one.headers["next_tier"] == b"human"]

    def close(self) -> None:
        self.judge.consumer.close()
        self.owner.consumer.close()
        self._watch.close()
        self.bus.close()
