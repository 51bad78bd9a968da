"""The doors and the bus on Kafka run on uvloop where that is installed, and on asyncio's own loop elsewhere."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from open_doors import OpenDoors, request

from collector.bus.kafka_loop import LoopThread
from collector.event_loop import new_event_loop, run

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PROTOBUF = {"Content-Type": "application/x-protobuf"}


async def running() -> type[asyncio.AbstractEventLoop]:
    return type(asyncio.get_running_loop())


def test_a_program_and_the_bus_on_kafka_run_on_uvloop_where_it_is_installed() -> None:
    uvloop = pytest.importorskip("uvloop")
    bus = LoopThread()
    try:
        assert (run(running()), bus.run(running())) == (uvloop.Loop, uvloop.Loop)
    finally:
        bus.close()


def test_without_uvloop_they_run_on_asyncios_own_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert "asyncio" in run(running()).__module__


@pytest.mark.parametrize("loop", [new_event_loop, asyncio.new_event_loop])
def test_both_doors_take_spans_on_either_loop(tmp_path: Path, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    doors = OpenDoors(tmp_path, loop=loop)
    try:
        assert doors.ask("POST", "/v1/traces", request(2), PROTOBUF)[0] == 200
        with grpc.insecure_channel(doors.grpc) as channel:
            assert channel.unary_unary(EXPORT, bytes, bytes)(request(3), timeout=10) == b""
        assert [record.value for record in doors.stored()] == [request(2), request(3)]
    finally:
        doors.close()
