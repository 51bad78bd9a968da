"""The OpenTelemetry Collector's own exporters into our doors: all of it arrives, refusals are waited for, no loops."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from built_clients import built
from collector_process import Collector, collector
from described_trace import arrived
from open_doors import OpenDoors, request
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from refusals import Refusals

pytestmark = [pytest.mark.exporters, pytest.mark.timeout(1800)]

RECORDED = sorted((Path(__file__).parents[1] / "captures" / "recorded").glob("*/*traces*.binpb"))
COMPRESSIONS = ("none", "gzip", "zstd", "zlib", "deflate", "snappy", "x-snappy-framed", "lz4")
ARRIVAL_SECONDS = 30.0
RETRY_SECONDS = 1.0
PATIENT = {"read_timeout_seconds": 30}
ROOMY = {"idle_timeout_seconds": 60, "max_connections": 64}
"""As it is by default: an exporter has ten connections, and on a busy machine one is silent for a second."""
OVER_THE_LIMIT = 3_000_000

Exporter = Callable[[OpenDoors], dict[str, Any]]


def by_grpc(**settings: Any) -> Exporter:
    return lambda doors: {"endpoint": doors.grpc, "tls": {"insecure": True}, **settings}


def by_http(**settings: Any) -> Exporter:
    return lambda doors: {"endpoint": f"http://{doors.http}", **settings}


AS_THEY_ARE: dict[str, Exporter] = {"otlp_grpc": by_grpc(), "otlp_http": by_http()}
ALL_WAYS: dict[str, Exporter] = {
    "otlp_grpc": by_grpc(),
    "otlp_grpc/none": by_grpc(compression="none"),
    **{f"otlp_http/{name}": by_http(compression=name) for name in COMPRESSIONS},
    **{f"otlp_http/json_{name}": by_http(compression=name, encoding="json") for name in COMPRESSIONS},
}


class Relay:
    """A Collector, and doors of our own behind each of its exporters."""

    def __init__(self, stack: ExitStack, folder: Path, ways: dict[str, Exporter]) -> None:
        built("otelcol")
        self.doors: dict[str, OpenDoors] = {}
        for number, name in enumerate(ways):
            opened = OpenDoors(folder / str(number), grpc=PATIENT, http={**PATIENT, **ROOMY})
            stack.callback(opened.close)
            self.doors[name] = opened
        exporters = {name: way(self.doors[name]) for name, way in ways.items()}
        self.collector: Collector = stack.enter_context(collector(folder, exporters))

    def arrived(self, name: str, spans: int) -> list[Any]:
        """Wait until so many spans are on the bus behind an exporter, and read what is there."""
        until = time.monotonic() + ARRIVAL_SECONDS
        while True:
            found = spans_in(record.value for record in self.doors[name].stored())
            if len(found) >= spans or time.monotonic() > until:
                return found
            time.sleep(0.05)


def spans_in(values: Iterable[bytes]) -> list[Any]:
    return sorted(arrived(values), key=lambda found: (found[0]["trace"], found[0]["span"]))


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    with ExitStack() as stack:
        made = Relay(stack, tmp_path_factory.mktemp("relay"), ALL_WAYS)
        for file in RECORDED:
            made.collector.send(file.read_bytes())
        yield made


@pytest.fixture
def own_relay(tmp_path: Path) -> Iterator[Relay]:
    with ExitStack() as stack:
        yield Relay(stack, tmp_path, AS_THEY_ARE)


@pytest.mark.parametrize("name", ALL_WAYS)
def test_all_that_was_recorded_from_agents_comes_through_unchanged(relay: Relay, name: str) -> None:
    wanted = spans_in(file.read_bytes() for file in RECORDED)
    assert len(wanted) > 300
    assert relay.arrived(name, len(wanted)) == wanted


def test_a_refusal_is_waited_for_as_long_as_we_ask_and_nothing_is_lost(
    own_relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = {name: Refusals(doors, monkeypatch, 2, RETRY_SECONDS) for name, doors in own_relay.doors.items()}
    own_relay.collector.send(request(20))
    for name, refused in refusals.items():
        assert own_relay.arrived(name, 20) == spans_in([request(20)])
        assert len(refused.at) == 3
        assert refused.shortest_wait >= RETRY_SECONDS
    assert not own_relay.collector.logged("Dropping data")


def test_a_request_over_our_limit_is_dropped_at_once_and_the_next_one_goes_through(own_relay: Relay) -> None:
    own_relay.collector.send(too_large())
    for name in own_relay.doors:
        dropped = own_relay.collector.wait_for("Dropping data", name)
        assert "Permanent error" in dropped["error"]
        assert not own_relay.collector.logged("Will retry", name)
    own_relay.collector.send(request(3))
    for name in own_relay.doors:
        assert own_relay.arrived(name, 3) == spans_in([request(3)])


def too_large() -> bytes:
    """Make a request of more than the doors of these tests take, compressed as well."""
    large = ExportTraceServiceRequest.FromString(request(1))
    for number in range(OVER_THE_LIMIT // 50_000):
        attribute = large.resource_spans[0].scope_spans[0].spans[0].attributes.add(key=f"random.{number}")
        attribute.value.bytes_value = os.urandom(50_000)
    return large.SerializeToString()
