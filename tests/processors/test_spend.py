"""Money added up over runs: per agent and hour, per tenant and day."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from collector.bus.protocol import Batch, Record, StateChange
from processors.spending.budgets import Budgets
from processors.spending.spend import HOUR_NS, SpendStage
from schemas.topics import DEAD_LETTERS, DETECTIONS, USAGE
from schemas.usage import UsageRecord, encode_usage, taken_back

HOUR = 1_789_999_200_000_000_000
"""The beginning of an hour."""


def spent(usd: float | None, number: int = 1, agent: str = "writer", run: str = "r1", at: int = HOUR) -> UsageRecord:
    return UsageRecord(
        tenant="acme",
        service="shop",
        agent=agent,
        framework="langgraph",
        run_id=run,
        trace_id=f"{1:032x}",
        span_id=f"{number:016x}",
        model="gpt-4o",
        provider="openai",
        input=100,
        output=10,
        cache_read=0,
        cache_write=0,
        reasoning=0,
        cost_usd=usd,
        at_ns=at,
        sign_seq=1,
    )


class Rows:
    """Keyed state in a dict, with due times."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[bytes, int | None]] = {}

    def get(self, store: str, key: str) -> bytes | None:
        return self.rows[key][0] if key in self.rows else None

    def scan(self, store: str, prefix: str = "") -> list[tuple[str, bytes]]:
        return sorted((key, row[0]) for key, row in self.rows.items() if key.startswith(prefix))

    def due(self, store: str, until_ns: int, limit: int) -> list[str]:
        return [key for key, row in self.rows.items() if row[1] is not None and row[1] <= until_ns][:limit]

    def count(self, store: str) -> int:
        return len(self.rows)

    def apply(self, change: StateChange) -> None:
        if change.value is None:
            self.rows.pop(change.key, None)
        else:
            self.rows[change.key] = (change.value, change.due_ns)


class Drive:
    """A stage with its state; restarted before every batch, since it may be at any time."""

    def __init__(self, **budgets: float) -> None:
        self.budgets = Budgets(**budgets)
        self.state = Rows()
        self.now_ns = HOUR
        self.dead = 0

    def send(self, *usage: UsageRecord | bytes) -> list[dict[str, Any]]:
        values = [item if isinstance(item, bytes) else encode_usage(item) for item in usage]
        records = [Record(USAGE, 0, n, "acme", value, {}, self.now_ns) for n, value in enumerate(values)]
        stage = SpendStage(self.budgets, lambda: self.now_ns)
        stage.restore(self.state)
        self.now_ns += 5_000_000
        handled = stage.handle(Batch(records, self.now_ns), self.state)
        for change in handled.changes:
            self.state.apply(change)
        self.dead += sum(output.topic == DEAD_LETTERS for output in handled.outputs)
        return [orjson.loads(output.value) for output in handled.outputs if output.topic == DETECTIONS]

    def wait(self, hours: float) -> list[dict[str, Any]]:
        self.now_ns += int(hours * HOUR_NS)
        return self.send()


def test_an_agents_hour_is_added_up_over_its_runs() -> None:
    drive = Drive(agent_hour_usd=1.0)
    assert drive.send(spent(0.5, 1, run="r1")) == []
    (warned,) = drive.send(spent(0.4, 2, run="r2"))
    (breached,) = drive.send(spent(0.2, 3, run="r3"))
    assert (warned["type"], warned["severity"], warned["agent"], warned["service"]) == (
        "cost",
        "medium",
        "writer",
        "shop",
    )
    assert breached["id"] == warned["id"]
    assert breached["version"] > warned["version"]
    assert breached["severity"] == "high"
    assert breached["span_ids"] == [f"{1:016x}", f"{3:016x}"]
    assert breached["evidence"]["spent_usd"] == 1.1
    assert breached["suggested_fix"]["fix_type"] == "budget_limiter"


def test_agents_and_hours_have_sums_of_their_own() -> None:
    drive = Drive(agent_hour_usd=1.0)
    assert drive.send(spent(0.7, 1), spent(0.7, 2, agent="other"), spent(0.7, 3, at=HOUR + HOUR_NS)) == []


def test_a_tenants_day_is_added_up_over_agents_and_stops_nobody_by_itself() -> None:
    drive = Drive(tenant_day_usd=1.0)
    (breached,) = drive.send(spent(0.7, 1), spent(0.7, 2, agent="other", at=HOUR + HOUR_NS))
    assert breached["agent"] is None
    assert breached["evidence"]["budget"] == "tenant_day_usd"
    assert breached["suggested_fix"]["fix_type"] == "cost_monitor"


def test_a_correction_withdraws_what_it_shows_to_be_none() -> None:
    drive = Drive(agent_hour_usd=1.0)
    wrong = spent(0.9, 1, agent="")
    (warned,) = drive.send(wrong)
    withdrawn, renamed = drive.send(taken_back(wrong, 2), msgspec.structs.replace(wrong, agent="writer", sign_seq=3))
    assert (withdrawn["id"], withdrawn["status"]) == (warned["id"], "withdrawn")
    assert (renamed["agent"], renamed["status"]) == ("writer", "open")


def test_a_sum_is_closed_and_forgotten_after_its_period() -> None:
    drive = Drive(agent_hour_usd=1.0)
    (opened,) = drive.send(spent(0.9, 1))
    assert drive.wait(1.5) == []
    (closed,) = drive.wait(0.6)
    assert (closed["id"], closed["status"]) == (opened["id"], "closed")
    assert drive.state.rows == {}


def test_what_takes_back_a_forgotten_sum_begins_no_new_one() -> None:
    drive = Drive(agent_hour_usd=1.0)
    assert drive.send(taken_back(spent(0.9, 1), 2)) == []
    assert drive.state.rows == {}


def test_a_clock_that_runs_ahead_keeps_its_sum_no_longer() -> None:
    drive = Drive(agent_hour_usd=1.0)
    drive.send(spent(0.9, 1, at=2**63 - 1))
    assert len(drive.wait(2.1)) == 1
    assert drive.state.rows == {}


def test_calls_without_a_price_are_counted() -> None:
    drive = Drive(agent_hour_usd=1.0)
    (warned,) = drive.send(spent(None, 1), spent(0.9, 2))
    assert warned["evidence"]["unpriced_calls"] == 1


def test_bytes_that_are_no_usage_go_to_the_dead_letters() -> None:
    drive = Drive(agent_hour_usd=1.0)
    assert drive.send(b"\xff nonsense", spent(0.1, 1)) == []
    assert drive.dead == 1


def test_without_budgets_nothing_is_kept() -> None:
    drive = Drive()
    assert drive.send(spent(100.0, 1)) == []
    assert drive.state.rows == {}
