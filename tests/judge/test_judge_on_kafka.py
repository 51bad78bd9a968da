"""Judge and owner as members of groups on a real broker: replicas share the work, one budget holds for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
import pytest
from escalated_runs import trace
from judged_runs import grey_run
from kafka_fixtures import OpenBuses
from messages_server import MessagesServer, quote_of, verdict
from pydantic import SecretStr

from collector.bus.kafka import KafkaBus
from collector.judging import judge_stages
from collector.stages import STOPPED, StageThread
from processors.judging.config import JudgeBudgets, JudgeConfig
from processors.spending.model_catalogue import PricedModels
from schemas.judge import MICRO
from schemas.topics import DETECTIONS

PARTITIONS, RUNS = 2, 24
MEMORY_BYTES = 8 << 20
DAY_USD = 0.006
WAIT_SECONDS = 90.0


@pytest.fixture
def open_bus(kafka_buses: OpenBuses) -> Callable[[], KafkaBus]:
    return kafka_buses(PARTITIONS)


def replica(bus: KafkaBus, config: JudgeConfig) -> list[StageThread]:
    """Start what `tracemend run --only processors/llm_judge` starts."""
    made = judge_stages(config, PricedModels(), bus, MEMORY_BYTES, PARTITIONS)
    threads = [StageThread(name, make, bus, pytest.fail) for name, make in made]
    for thread in threads:
        thread.start()
    return threads


def runs(numbers: range) -> list[Any]:
    return [r for number in numbers for r in grey_run(trace(number), [f"None, says {number}.", f"No, says {number}."])]


def test_replicas_share_the_judging_and_one_budget_holds_for_all_of_them(
    open_bus: Callable[[], KafkaBus], api: MessagesServer
) -> None:
    api.script = lambda body: verdict(body, "no", 0.9, quote_of(body), input_tokens=3_000, output_tokens=200)
    config = JudgeConfig(api_key=SecretStr("sk-test"), base_url=api.url, budgets=JudgeBudgets(tenant_day_usd=DAY_USD))
    one, two = open_bus(), open_bus()
    reader = one.reader([DETECTIONS])
    first = replica(one, config)
    one.publish(runs(range(RUNS // 2))).result(30)
    latest: dict[str, dict[str, Any]] = {}
    follow(reader, latest, partial(judged, latest, RUNS // 2))
    second = replica(two, config)
    one.publish(runs(range(RUNS // 2, RUNS))).result(30)
    follow(reader, latest, partial(judged, latest, RUNS))
    for thread in [*first, *second]:
        thread.stop()
    for thread in [*first, *second]:
        assert thread.join(60)
        assert thread.status == STOPPED, thread.error
    billed = sum(bill["input_tokens"] * 0.1 + bill["output_tokens"] * 0.5 for bill in api.billed)
    assert 0 < billed <= DAY_USD * MICRO
    rulings = [document["evidence"]["judge"]["ruling"] for document in latest.values()]
    assert 0 < rulings.count("confirmed") <= len(api.billed)  # a task that moves loses the call it is at
    assert rulings.count("unjudged") == RUNS - rulings.count("confirmed") > 0


def follow(reader: Any, latest: dict[str, dict[str, Any]], true: Callable[[], bool]) -> None:
    """Read detections, keeping the highest version of each, until something holds."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not true():
        assert time.monotonic() < deadline, f"only {len(latest)} detections: {latest.values()}"
        for record in reader.poll(timeout_seconds=0.5).records:
            document = orjson.loads(record.value)
            if document["version"] >= latest.get(document["id"], {"version": 0})["version"]:
                latest[document["id"]] = document


def judged(latest: dict[str, dict[str, Any]], count: int) -> bool:
    return sum("judge" in document["evidence"] for document in latest.values()) == count
