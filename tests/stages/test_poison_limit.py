"""A stage that cannot read what it is given stops, says so, and leaves the rest where it is."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pipeline_process import PipelineProcess

from collector import stage_task
from collector.bus.dead_letters import dead_letter
from collector.bus.embedded import EmbeddedBus
from collector.bus.protocol import Batch, Delivery, Handled, Outgoing, Record, Stage, State
from collector.poison import PoisonLimit, TooMuchPoison
from collector.stages import POISONED, STOPPED, StageThread
from schemas.topics import OTLP_SPANS, USAGE
from sinks.batch_rows import DatedOutside

LIMIT = 10


class Broken:
    """Puts every record aside, and says why."""

    group = "broken"
    topics: Sequence[str] = (USAGE,)
    max_records = 500
    flush_seconds = 0.01

    def restore(self, state: State) -> None:
        """Nothing is kept."""

    def handle(self, batch: Batch, state: State) -> Handled:
        return Handled([letter(record) for record in batch.records])


class Raising(Broken):
    """Raises on every record."""

    def handle(self, batch: Batch, state: State) -> Handled:
        raise ValueError("cannot be read")


class RaisingDelivery(Broken):
    """Raises on every record, as a delivery."""

    def deliver(self, batch: Batch, token: str, again: bool) -> Handled:
        raise ValueError("cannot be read")

    def close(self) -> None:
        """Nothing to let go of."""


def letter(record: Record, error: Exception | None = None) -> Outgoing:
    return dead_letter(record, error or ValueError("cannot be read"), "broken")


def record(offset: int) -> Record:
    return Record(USAGE, 0, offset, "", b"x", {}, 0)


def committed(bus: EmbeddedBus) -> int:
    consumer = bus.consumer("broken", [USAGE])
    left = consumer.lag()[USAGE]
    consumer.close()
    return left


@pytest.mark.parametrize("kind", [Broken, Raising, RaisingDelivery])
def test_a_stage_stops_rather_than_put_everything_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Stage | Delivery]
) -> None:
    monkeypatch.setattr(stage_task, "FIRST_PAUSE_SECONDS", 0.0)
    bus = EmbeddedBus(tmp_path / "bus")
    bus.publish([Outgoing(USAGE, "", b"x")] * (3 * LIMIT)).result(5)
    thread = StageThread("broken", kind, bus, pytest.fail, max_poison=LIMIT)
    thread.start()
    assert thread.join(60)
    assert thread.status == POISONED
    assert "bus::dead_letters::max_per_minute" in thread.error
    assert "ValueError: cannot be read" in thread.error
    assert "dead-letters list --stage broken" in thread.error
    assert committed(bus) >= 2 * LIMIT
    bus.close()


def test_as_much_as_the_limit_is_put_aside_and_the_stage_goes_on(tmp_path: Path) -> None:
    bus = EmbeddedBus(tmp_path / "bus")
    bus.publish([Outgoing(USAGE, "", b"x")] * LIMIT).result(5)
    thread = StageThread("broken", Broken, bus, pytest.fail, max_poison=LIMIT)
    thread.start()
    thread.finish()
    assert thread.join(60)
    assert (thread.status, committed(bus)) == (STOPPED, 0)
    bus.close()


def test_the_limit_is_on_records_of_the_last_minute() -> None:
    now = [0.0]
    limit = PoisonLimit("broken", LIMIT, lambda: now[0])
    limit.check([letter(record(offset)) for offset in range(LIMIT)])
    limit.check([letter(record(0))] * 5)  # the same record, tried again
    now[0] = 61.0
    limit.check([letter(record(offset)) for offset in range(100, 100 + LIMIT)])
    with pytest.raises(TooMuchPoison):
        limit.check([letter(record(999))])


def test_what_a_sender_dates_wrongly_is_no_poison() -> None:
    limit = PoisonLimit("broken", LIMIT)
    limit.check([letter(record(offset), DatedOutside(90)) for offset in range(10 * LIMIT)])


def test_a_pipeline_says_in_its_health_which_stage_has_stopped(tmp_path: Path) -> None:
    running = PipelineProcess(tmp_path / "data", "bus::dead_letters::max_per_minute=5")
    try:
        running.start()
        bus = EmbeddedBus(running.data_dir / "bus", readers=())
        bus.publish(
            [Outgoing(OTLP_SPANS, "", b"\xffnot spans", {"content-hash": b"%d" % at}) for at in range(20)]
        ).result(30)
        bus.close()
        deadline = time.monotonic() + 60
        while (health := ask(running))[0] == 200 or health[1]["components"]["normaliser"]["status"] == "running":
            assert time.monotonic() < deadline, health
            time.sleep(0.1)
        assert health[1]["status"] == "failing"
        assert health[1]["components"]["normaliser"]["status"] == POISONED
        assert "max_per_minute" in health[1]["components"]["normaliser"]["error"]
        assert health[1]["components"]["processors"]["status"] == "running"
        assert running.stop() == 0
    finally:
        running.kill_if_running()


def ask(running: PipelineProcess) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection((running.info() or {})["metrics"], timeout=10)
    connection.request("GET", "/healthz")
    response = connection.getresponse()
    try:
        return response.status, json.loads(response.read())
    finally:
        connection.close()
